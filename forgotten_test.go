package sessionmap_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// What is remembered of sessions after their end, or under their former keys.

// TestKeysForgotten: what is remembered of keys goes when its time is over, without any call, also in a map in which nothing
// else is due.
func TestKeysForgotten(t *testing.T) {
	for name, remember := range map[string]func(m *sessionmap.RobustSessionMap[int, int]){
		"tombstone": func(m *sessionmap.RobustSessionMap[int, int]) { m.Delete(1) },
		"old name":  func(m *sessionmap.RobustSessionMap[int, int]) { assert.NoError(t, m.Rename(1, 2)) },
		"failure": func(m *sessionmap.RobustSessionMap[int, int]) {
			_, _ = m.GetOrLoad(context.Background(), 5, func(context.Context, int) (int, error) { return 0, errors.ErrUnsupported })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := []sessionmap.Option{sessionmap.WithTTL(0), sessionmap.WithMaxSize(100), sessionmap.WithSweepInterval(time.Second)}
				switch name {
				case "tombstone":
					opts = append(opts, sessionmap.WithTombstones(10*time.Second))
				case "old name":
					opts = append(opts, sessionmap.WithRenameGrace(10*time.Second))
				default:
					opts = append(opts, sessionmap.WithLoadErrorTTL(10*time.Second))
				}
				m := newMap[int, int](t, opts...)
				m.Set(1, 1)
				remember(m)
				require.NotZero(t, sessionmap.Remembered(m))
				time.Sleep(21 * time.Second) // two generations, and a sweep interval
				synctest.Wait()
				require.Zero(t, sessionmap.Remembered(m))
				require.False(t, sessionmap.Armed(m), "nothing is due any more")
			})
		})
	}
}

// TestExpiredByItsOldKey: a session that is expired, and that no sweep has met, is not deleted by its former key either.
func TestExpiredByItsOldKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var causes []sessionmap.Cause
		m := newMap[int, int](t, sessionmap.WithTTL(10*time.Second), sessionmap.WithRenameGrace(time.Minute), sessionmap.WithSweepInterval(time.Hour),
			sessionmap.WithOnRemove(func(key, _ int, cause sessionmap.Cause) {
				if key == 2 {
					causes = append(causes, cause)
				}
			}))
		m.SetWithTTL(9, 9, time.Second)
		time.Sleep(2 * time.Second) // a sweep has just been
		m.Set(1, 1)
		require.NoError(t, m.Rename(1, 2))
		time.Sleep(10 * time.Second)
		require.Empty(t, causes)
		_, ok := m.Take(1)
		require.False(t, ok)
		_, ok = m.Acquire(1)
		require.False(t, ok)
		m.Sweep()
		require.Equal(t, []sessionmap.Cause{sessionmap.Idle}, causes)
	})
}
