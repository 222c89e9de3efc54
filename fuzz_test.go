package sessionmap_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// A tape is a program that was made up before: each byte decides something.
type tape []byte

func (p *tape) pick(n int) int {
	if len(*p) == 0 {
		return 0
	}
	b := (*p)[0]
	*p = (*p)[1:]
	return int(b) % n
}

// FuzzOps runs the programs that the fuzzer finds. The first byte says on what: a map or a group, with bounds and timeouts
// or without, so that it has to hold what a plain map would.
func FuzzOps(f *testing.F) {
	add := func(config, set byte, ops, operands int) { // set is an operation that begins a session
		for op := range byte(ops) {
			program := []byte{config}
			for i := range byte(6) {
				for _, op := range []byte{set, op} {
					program = append(program, []byte{op, i % 2, i % 3}[:1+operands]...)
				}
				program = append(program, i)
			}
			f.Add(program)
		}
	}
	for config := byte(0); config < 16; config += 2 {
		add(config, 5, len(chaosOps), 1)
		add(config|1, 1, len(groupOps), 2)
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 1000 {
			t.Skip("short ones find the same, sooner")
		}
		synctest.Test(t, func(t *testing.T) { runTape(t, tape(program)) })
	})
}

// TestOps is FuzzOps with programs made up at random.
func TestOps(t *testing.T) {
	programs := 400 * *faults
	for i := range programs {
		rng := rand.New(rand.NewPCG(uint64(i), 8))
		program := make(tape, 300)
		for j := range program {
			program[j] = byte(rng.Uint32())
		}
		synctest.Test(t, func(t *testing.T) { runTape(t, program) })
	}
	injected(t, "programs", programs)
}

func runTape(t *testing.T, p tape) {
	config := p.pick(256)
	bus := sessionmap.NewBus[int]()
	opts := []sessionmap.Option{sessionmap.WithSessionDeleted(bus)}
	plain, maxCost, refreshAfter := config&2 > 0, int64(100), time.Duration(0)
	if plain {
		maxCost = 1 << 40
		opts = append(opts, sessionmap.WithTTL(0), sessionmap.WithMaxSize(chaosKeys))
	} else {
		refreshAfter = time.Minute
		opts = append(opts, sessionmap.WithTTL(idle), sessionmap.WithMaxSize(1+config>>4), sessionmap.WithMaxLifetime(lifetime*time.Duration(config>>2&1)),
			sessionmap.WithTombstones(idle/3), sessionmap.WithRenameGrace(idle/2*time.Duration(config>>3&1)))
	}
	if config&1 > 0 {
		c := newGroupChaos(t, p.pick, bus.Publish, append(opts, sessionmap.WithMaxTotalCost(maxCost))...)
		if plain {
			c.plain = make(map[int]*[2]int)
		}
		for len(p) > 0 {
			c.step()
			c.check()
		}
		c.rest()
		return
	}
	c := newChaos(t, p.pick, bus.Publish, append(opts, sessionmap.WithCloser(), sessionmap.WithLoadErrorTTL(time.Minute), sessionmap.WithRefreshAfter(refreshAfter),
		sessionmap.WithMaxCost(maxCost, func(_ int, v *thing) int64 { return int64(v.number % 50) }))...)
	if plain {
		c.plain = make(map[int]int)
		c.publish = func(key int) { bus.Publish(key); c.gone(key) }
	}
	for len(p) > 0 {
		c.step()
		synctest.Wait()
		c.check()
		if plain {
			require.Len(t, c.plain, c.m.Len())
		}
	}
	if !plain {
		c.clears()
	}
	c.rest()
	assert.NoError(t, c.m.Close())
	c.balance(t, nil, c.m.Stats())
}
