package sessionmap_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// TestDroppedMapCancelsOnce: a source that goes on telling a map that was dropped without Close is cancelled once.
func TestDroppedMapCancelsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deleted func(int, time.Time)
		var cancelled atomic.Int32
		sessionmap.MustNew[int, int](sessionmap.WithSessionDeleted(sessionmap.SourceFunc[int](func(fn func(int, time.Time)) (func(), error) {
			deleted = fn
			return func() { cancelled.Add(1) }, nil
		})))
		for cancelled.Load() == 0 { // the test's own time limit is the only one
			runtime.GC()
			deleted(1, time.Now())
			synctest.Wait()
		}
		for range 10 {
			deleted(1, time.Now())
		}
		synctest.Wait()
		require.EqualValues(t, 1, cancelled.Load())
	})
}
