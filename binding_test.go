package sessionmap_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// Sessions that end while something is bound to them.

// A meddlingContext does something at the moment at which somebody begins to wait for it.
type meddlingContext struct {
	*listingContext
	meddle func()
}

func (c *meddlingContext) AfterFunc(fn func()) (stop func() bool) {
	stop = c.listingContext.AfterFunc(fn)
	c.meddle()
	return stop
}

// TestBindContextToAnEndedSession: nothing is left with a context whose session ends just as it is bound.
func TestBindContextToAnEndedSession(t *testing.T) {
	m := newMap[int, int](t)
	m.Set(1, 1)
	ctx := &meddlingContext{&listingContext{newForeignContext(), make(map[*func()]bool)}, func() { m.Delete(1) }}
	m.BindContext(ctx, 1)
	require.False(t, m.Contains(1))
	require.Empty(t, ctx.waiting)
}

// A clingingContext does something when somebody stops waiting for it.
type clingingContext struct {
	*foreignContext
	stopped func()
}

func (c *clingingContext) AfterFunc(func()) (stop func() bool) {
	return func() bool { c.stopped(); return true }
}

// TestAttributeOfTheNextSession: a value that is set while its session ends and another of the same id begins is put into that.
func TestAttributeOfTheNextSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, sessionmap.WithTTL(time.Hour))
		ending, goOn := make(chan struct{}), make(chan struct{})
		first := true
		a := sessionmap.NewAttribute[int](g, "a", sessionmap.WithCost(func(_, v int) int64 {
			if v == 2 && first {
				first = false
				go g.Delete(1) // which is held up when the session is out of the group, and has its attributes still
				<-ending
				g.Touch(1)
			}
			return int64(v)
		}))
		a.Set(1, 1)
		g.BindContext(&clingingContext{newForeignContext(), func() { close(ending); <-goOn }}, 1)
		require.True(t, a.Set(1, 2))
		close(goOn)
		synctest.Wait()
		v, ok := a.Get(1)
		require.True(t, ok, "what was set is not there")
		require.Equal(t, 2, v)
		require.NoError(t, sessionmap.CheckGroup(g))
		require.EqualValues(t, 2, g.Stats().Cost)
	})
}
