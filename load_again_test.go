package sessionmap

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLoadLooksAgain: who has missed a key that a load has stored by the time that another would begin, begins none.
func TestLoadLooksAgain(t *testing.T) {
	m := MustNew[int, string]()
	defer m.Close()
	m.loads.mu.Lock()
	got := make(chan string)
	go func() {
		v, err := m.GetOrLoad(t.Context(), 1, func(context.Context, int) (string, error) { t.Error("a load of what is there"); return "loaded", nil })
		assert.NoError(t, err)
		got <- v
	}()
	for m.Stats().Misses == 0 { // until it waits for the lock, or is about to; the test's own time limit is the only one
		runtime.Gosched()
	}
	m.Set(1, "loaded before")
	m.loads.ended.Add(1)
	m.loads.mu.Unlock()
	require.Equal(t, "loaded before", <-got)
}
