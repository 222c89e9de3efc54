package sessionmap_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// TestOwnerListInPieces: to look at one session of an owner with many does not take a walk over all of them.
func TestOwnerListInPieces(t *testing.T) {
	const n = 10_000
	m := newMap[int, int](t, sessionmap.WithMaxSize(n))
	index := sessionmap.NewIndex(m, func(int, int) int { return 1 })
	for key := range n {
		m.Set(key, key)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range index.Of(1) {
		break
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<10), "bytes allocated")
}
