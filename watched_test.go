package sessionmap_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// What a map that is watched tells.

// TestGoexitIsNotBlocked: a callback that has ended its goroutine does not run any longer.
func TestGoexitIsNotBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var blocked int
		m := newMap[int, int](t, silent, sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) { runtime.Goexit() }),
			sessionmap.WithAlerts(sessionmap.AlertRules{}, func(a sessionmap.Alert) {
				if a.Kind == sessionmap.AlertBlocked {
					blocked++
				}
			}))
		m.Set(1, 1)
		go m.Delete(1)
		time.Sleep(time.Hour)
		require.Zero(t, blocked)
		require.False(t, sessionmap.Watching(m), "nothing happens any more")
	})
}

// TestAlertOfALostLease: also of one on a session that has been cleared.
func TestAlertOfALostLease(t *testing.T) {
	for _, cleared := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var alerts []sessionmap.Alert
			m := newMap[int, int](t, silent, sessionmap.WithAlerts(sessionmap.AlertRules{}, func(a sessionmap.Alert) { alerts = append(alerts, a) }))
			m.Set(1, 1)
			_, ok := m.Acquire(1)
			require.True(t, ok)
			if cleared {
				m.Clear()
			}
			for m.Stats().LostLeases == 0 { // the test's own time limit is the only one
				runtime.GC()
				runtime.Gosched()
				m.Sweep()
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			require.Len(t, alerts, 1, "cleared: %v", cleared)
			require.Equal(t, sessionmap.AlertLeases, alerts[0].Kind)
			require.Equal(t, "1 leases were dropped without Release", alerts[0].Message)
		})
	}
}

// TestAlertEvictingTellsTheYoungest: of several that were evicted, the alert tells of the one that was accessed last.
func TestAlertEvictingTellsTheYoungest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var alerts []sessionmap.Alert
		m := newMap[int, int](t, sessionmap.WithTTL(time.Minute), sessionmap.WithMaxSize(2), silent, sessionmap.WithAlerts(sessionmap.AlertRules{Fill: -1}, func(a sessionmap.Alert) { alerts = append(alerts, a) }))
		m.Set(1, 1)
		m.Set(2, 2)
		time.Sleep(time.Second)
		m.Set(3, 3) // 1 was accessed a second ago
		time.Sleep(3 * time.Second)
		m.Set(4, 4) // 2 was four seconds ago
		time.Sleep(20 * time.Second)
		synctest.Wait()
		require.Len(t, alerts, 1)
		require.Contains(t, alerts[0].Message, "one of them 1s after")
	})
}
