package sessionmap

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hashes are ways to make a hash from a key that a table has to survive.
var hashes = map[string]func(key int) uint32{
	"spread":        func(key int) uint32 { return uint32(key) * 0x9e3779b1 },
	"all the same":  func(key int) uint32 { return 0xdeadbeef },
	"top bits same": func(key int) uint32 { return uint32(key) & 0xffff },
	"low bits same": func(key int) uint32 { return uint32(key) << 20 },
	"two":           func(key int) uint32 { return uint32(key&1) * 0xffffffff },
	"same bucket":   func(key int) uint32 { return uint32(key) & 0x7f },
}

func TestTable(t *testing.T) {
	for name, hash := range hashes {
		t.Run(name, func(t *testing.T) {
			steps := 30000
			if name != "spread" {
				steps = 3000 // collisions cost time by their nature
			}
			var table table[int, int]
			table.init()
			want := map[int]*entry[int, int]{}
			rng := rand.New(rand.NewPCG(1, 1))
			for i := range steps {
				// The number of entries swings up and down, so that segments split and merge.
				key := rng.IntN(1 + steps/3)
				e := table.find(hash(key), key)
				require.Same(t, want[key], e)
				if grow := i/(steps/6)%2 == 0; e == nil && (grow || rng.IntN(8) == 0) {
					want[key] = &entry[int, int]{key: key, hash: hash(key)}
					table.insert(want[key])
				} else if e != nil && (!grow || rng.IntN(8) == 0) {
					table.remove(e)
					delete(want, key)
				}
				if i%500 == 0 {
					require.NoError(t, table.check(len(want)))
				}
			}
			require.NoError(t, table.check(len(want)))
			assert.Len(t, slices.Collect(table.entries()), len(want))
			for _, e := range want {
				table.remove(e)
			}
			require.NoError(t, table.check(0))
			d := table.dir.Load()
			assert.Zero(t, d.depth, "an empty table is as small as a new one")
			assert.Len(t, d.segments[0].Load().buckets, 1)
		})
	}
}

// TestTableSplitsWhatIsFullGrown: no segment grows beyond the size at which to copy one is still a small step.
func TestTableSplitsWhatIsFullGrown(t *testing.T) {
	const entries = 50_000
	var table table[int, int]
	table.init()
	for key := range entries {
		table.insert(&entry[int, int]{key: key, hash: hashes["spread"](key)})
	}
	require.NoError(t, table.check(entries))
	for _, s := range table.dir.Load().distinct() {
		require.LessOrEqual(t, len(s.buckets), segmentBuckets)
	}
}

// TestTableReadersDuringChanges: without a lock, a reader finds what is there all along and nothing that never was.
func TestTableReadersDuringChanges(t *testing.T) {
	for _, name := range []string{"spread", "top bits same", "same bucket"} {
		t.Run(name, func(t *testing.T) {
			hash := hashes[name]
			const stay, swing = 300, 3000
			var table table[int, int]
			table.init()
			for key := range stay {
				table.insert(&entry[int, int]{key: key, hash: hash(key)})
			}
			var stop atomic.Bool
			var readers sync.WaitGroup
			for range 2 {
				readers.Go(func() {
					for !stop.Load() {
						for key := range stay {
							if e := table.find(hash(key), key); !assert.NotNil(t, e) || !assert.Equal(t, key, e.key) {
								return
							}
						}
						assert.Nil(t, table.find(hash(-1), -1))
						seen := map[int]int{}
						for e := range table.entries() {
							seen[e.key]++
						}
						for key := range stay {
							if !assert.Equal(t, 1, seen[key], "key %d", key) {
								return
							}
						}
					}
				})
			}
			for range 4 {
				var all []*entry[int, int]
				for key := range swing {
					e := &entry[int, int]{key: stay + key, hash: hash(stay + key)}
					table.insert(e)
					all = append(all, e)
				}
				for _, e := range all {
					table.remove(e)
				}
			}
			stop.Store(true)
			readers.Wait()
			assert.NoError(t, table.check(stay))
		})
	}
}
