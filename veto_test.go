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

// What is not stored, or not remembered, because something else came first.

// TestSetVetoesALoad: a value that was loaded before a Set is not stored when that Set's session has ended since, by a
// bound or a timeout.
func TestSetVetoesALoad(t *testing.T) {
	for name, set := range map[string]func(m *sessionmap.RobustSessionMap[int, string]){
		"Set":          func(m *sessionmap.RobustSessionMap[int, string]) { m.Set(1, "set") },
		"GetOrSet":     func(m *sessionmap.RobustSessionMap[int, string]) { m.GetOrSet(1, "set") },
		"Rename to it": func(m *sessionmap.RobustSessionMap[int, string]) { m.Set(3, "set"); assert.NoError(t, m.Rename(3, 1)) },
		"Update": func(m *sessionmap.RobustSessionMap[int, string]) {
			m.Update(1, func(string, bool) (string, bool) { return "set", true })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMap[int, string](t, sessionmap.WithMaxSize(1))
				release := make(chan struct{})
				loaded := make(chan error, 1)
				go func() {
					_, err := m.GetOrLoad(t.Context(), 1, func(context.Context, int) (string, error) { <-release; return "loaded", nil })
					loaded <- err
				}()
				synctest.Wait()
				set(m)
				m.Set(2, "another") // it gives way
				require.False(t, m.Contains(1))
				close(release)
				var ended *sessionmap.EndedError
				require.ErrorAs(t, <-loaded, &ended)
				require.False(t, m.Contains(1), "what was loaded before the set is there after it")
				require.True(t, m.Contains(2))
			})
		})
	}
}

// TestRenameVetoesALoadThatBeganDuringASet: as TestDeleteVetoesALoadThatBeganDuringASet.
func TestRenameVetoesALoadThatBeganDuringASet(t *testing.T) {
	loadDuringASet(t, func(t *testing.T, m *sessionmap.RobustSessionMap[int, string]) {
		require.NoError(t, m.Rename(1, 2))
	}, func(t *testing.T, m *sessionmap.RobustSessionMap[int, string]) {
		assert.False(t, m.Contains(1), "the load began before the rename")
		assert.True(t, m.Contains(2))
	})
}

// TestFailureOfAVetoedLoad: the error of a load that a delete has overtaken is not remembered.
func TestFailureOfAVetoedLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, string](t, sessionmap.WithLoadErrorTTL(time.Minute))
		release, failed := make(chan struct{}), make(chan error, 1)
		go func() {
			_, err := m.GetOrLoad(t.Context(), 1, func(context.Context, int) (string, error) { <-release; return "", errors.ErrUnsupported })
			failed <- err
		}()
		synctest.Wait()
		m.Delete(1)
		close(release)
		require.ErrorIs(t, <-failed, errors.ErrUnsupported)
		value, err := m.GetOrLoad(t.Context(), 1, func(context.Context, int) (string, error) { return "loaded", nil })
		require.NoError(t, err)
		require.Equal(t, "loaded", value)
	})
}

// TestLostRefreshEndsNobody: a value that was loaded anew, and comes too late, takes nobody's place.
func TestLostRefreshEndsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t, sessionmap.WithMaxCost(10, func(_, v int) int64 { return int64(v) }))
		m.Set(2, 5)
		m.Set(1, 1)
		goOn := make(chan struct{})
		require.True(t, m.Refresh(1, func(context.Context, int) (int, error) { <-goOn; return 9, nil }))
		synctest.Wait()
		m.Set(1, 2)
		close(goOn)
		synctest.Wait()
		require.True(t, m.Contains(2), "evicted for a value that was not stored")
		v, _ := m.Peek(1)
		require.Equal(t, 2, v)
	})
}

// TestFailedRefreshWaits: after a refresh that has failed the next one comes after WithRefreshAfter, not at once.
func TestFailedRefreshWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t, sessionmap.WithTTL(time.Hour), sessionmap.WithRefreshAfter(time.Minute), silent)
		loads := 0
		get := func() {
			v, err := m.GetOrLoad(context.Background(), 1, func(context.Context, int) (int, error) {
				if loads++; loads > 1 {
					return 0, errors.ErrUnsupported
				}
				return 7, nil
			})
			require.NoError(t, err)
			require.Equal(t, 7, v)
			synctest.Wait()
		}
		get()
		time.Sleep(time.Minute)
		get()
		require.Equal(t, 2, loads)
		get()
		get()
		require.Equal(t, 2, loads, "tried again at once")
		time.Sleep(time.Minute)
		get()
		require.Equal(t, 3, loads)
	})
}
