package sessionmap

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWeakUpdatePanics: a panic of the function goes on to the caller, changes nothing, and leaves no lock behind.
func TestWeakUpdatePanics(t *testing.T) {
	w, s := NewWeak[int, int](), new(int)
	w.Set(s, 1)
	require.PanicsWithValue(t, "update", func() { w.Update(s, func(int, bool) (int, bool) { panic("update") }) })
	require.True(t, w.mu.TryLock(), "the lock is still held")
	w.mu.Unlock()
	v, ok := w.Get(s)
	require.True(t, ok)
	require.Equal(t, 1, v)
	w.Set(s, 2)
	v, _ = w.Get(s)
	require.Equal(t, 2, v)
}
