package sessionmap_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

func TestOptionsRefused(t *testing.T) {
	done, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("shutting down"))
	var noBus *sessionmap.Bus[int]
	var noSource sessionmap.Source[int]
	var noContext context.Context
	for _, tc := range []struct {
		name   string
		option sessionmap.Option
		want   []string // in the message: the option, the value, what is allowed
	}{
		{"ttl", sessionmap.WithTTL(-5 * time.Second), []string{"WithTTL(-5s)", "0 (off) or more"}},
		{"lifetime", sessionmap.WithMaxLifetime(-1), []string{"WithMaxLifetime(-1ns)", "0 (off) or more"}},
		{"size", sessionmap.WithMaxSize(-7), []string{"WithMaxSize(-7)", "0 (no bound) or more"}},
		{"interval", sessionmap.WithSweepInterval(0), []string{"WithSweepInterval(0s)", "more than 0"}},
		{"negative interval", sessionmap.WithSweepInterval(-time.Hour), []string{"WithSweepInterval(-1h0m0s)", "more than 0"}},
		{"tombstones", sessionmap.WithTombstones(-1), []string{"WithTombstones(-1ns)", "0 (off) or more"}},
		{"rename grace", sessionmap.WithRenameGrace(-1), []string{"WithRenameGrace(-1ns)", "0 (off) or more"}},
		{"load error", sessionmap.WithLoadErrorTTL(-1), []string{"WithLoadErrorTTL(-1ns)", "0 (off) or more"}},
		{"refresh", sessionmap.WithRefreshAfter(-1), []string{"WithRefreshAfter(-1ns)", "0 (never) or more"}},
		{"lease warning", sessionmap.WithLeaseWarning(-1), []string{"WithLeaseWarning(-1ns)", "0 (never) or more"}},
		{"coarse clock", sessionmap.WithCoarseClock(time.Microsecond), []string{"WithCoarseClock(1µs)", "1ms or more"}},
		{"nil context", sessionmap.WithContext(noContext), []string{"WithContext(<nil>)", "a context"}},
		{"done context", sessionmap.WithContext(done), []string{"WithContext(", "not done", "shutting down"}},
		{"nil logger", sessionmap.WithLogger(nil), []string{"WithLogger(nil)", "*slog.Logger"}},
		{"nil callback", sessionmap.WithOnRemove[int, int](nil), []string{"WithOnRemove(nil)", "a function"}},
		{"callback of another key", sessionmap.WithOnRemove(func(string, int, sessionmap.Cause) {}),
			[]string{"WithOnRemove(func(string, int, sessionmap.Cause))", "func(int, int, sessionmap.Cause)"}},
		{"callback of another value", sessionmap.WithOnRemove(func(int, *int, sessionmap.Cause) {}),
			[]string{"WithOnRemove(func(int, *int, sessionmap.Cause))", "func(int, int, sessionmap.Cause)"}},
		{"nil source", sessionmap.WithSessionDeleted(noSource), []string{"WithSessionDeleted(nil)", "a Source"}},
		{"nil bus", sessionmap.WithSessionDeleted(noBus), []string{"WithSessionDeleted(nil)", "a Source"}},
		{"nil source function", sessionmap.WithSessionDeleted(sessionmap.SourceFunc[int](nil)), []string{"WithSessionDeleted(nil)", "a Source"}},
		{"source of another key", sessionmap.WithSessionDeleted(sessionmap.NewBus[string]()),
			[]string{"WithSessionDeleted(*sessionmap.Bus[string])", "sessionmap.Source[int]"}},
		{"nil option", nil, []string{"option 2", "an Option"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bus := sessionmap.NewBus[int]()
			m, err := sessionmap.New[int, int](sessionmap.WithSessionDeleted(bus), tc.option)
			require.Error(t, err)
			assert.Nil(t, m)
			for _, want := range append(tc.want, "sessionmap: ") {
				assert.Contains(t, err.Error(), want)
			}
			var option *sessionmap.OptionError
			assert.ErrorAs(t, err, &option)
			assert.Zero(t, sessionmap.Subscribers(bus), "nothing was started")
			assert.PanicsWithError(t, err.Error(), func() {
				sessionmap.MustNew[int, int](sessionmap.WithSessionDeleted(bus), tc.option)
			})
		})
	}
	_, err := sessionmap.New[int, int](sessionmap.WithTTL(-1), sessionmap.WithMaxSize(-2))
	assert.ErrorContains(t, err, "WithTTL(-1ns)")
	assert.ErrorContains(t, err, "WithMaxSize(-2)", "all that is wrong is named")
	_, err = sessionmap.New[int, int](sessionmap.WithContext(done))
	assert.ErrorIs(t, err, context.Cause(done), "the cause is wrapped")
}

func TestDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out removals
		m := newMap[int, int](t, out.option())
		for key := range sessionmap.DefaultMaxSize {
			m.Set(key, key)
		}
		assert.Empty(t, out.take())
		m.Set(-1, 0)
		assert.Equal(t, []removal{{0, 0, sessionmap.Evicted}}, out.take())
		entry, _ := m.Entry(-1)
		assert.Equal(t, 30*time.Minute, entry.IdleTimeout)
		assert.WithinDuration(t, time.Now().Add(30*time.Minute), entry.Deadline, 0)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		assert.Zero(t, m.Len(), "swept")
		m.Set(1, 1)
		m.SetWithTTL(2, 2, time.Second)
		time.Sleep(time.Minute - 1)
		synctest.Wait()
		assert.Equal(t, 2, m.Len(), "a minute between sweeps")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.Equal(t, 1, m.Len())
	})
}

func TestWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out removals
		ctx, cancel := context.WithCancel(t.Context())
		m := newMap[int, int](t, sessionmap.WithContext(ctx), out.option())
		m.Set(1, 1)
		cancel()
		synctest.Wait()
		assert.Equal(t, []removal{{1, 1, sessionmap.Closed}}, out.take())
		assert.False(t, m.Set(2, 2))
	})
	t.Run("a callback that blocks is logged", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var log syncBuffer
			release := make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			m := newMap[int, int](t, sessionmap.WithContext(ctx), sessionmap.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
				sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) { <-release }))
			m.Set(1, 1)
			cancel()
			time.Sleep(sessionmap.CloseGrace)
			synctest.Wait()
			assert.Contains(t, log.String(), sessionmap.ErrCloseTimeout.Error())
			close(release)
		})
	})
	t.Run("closing lets go of the context", func(t *testing.T) {
		ctx := &watchedContext{Context: t.Context(), done: make(chan struct{})}
		m := newMap[int, int](t, sessionmap.WithContext(ctx))
		assert.Equal(t, 1, ctx.watchers)
		require.NoError(t, m.Close())
		assert.Equal(t, 0, ctx.watchers)
	})
}

// A watchedContext counts who waits for it, through the hook that context.AfterFunc looks for.
type watchedContext struct {
	context.Context
	done     chan struct{}
	watchers int
}

func (c *watchedContext) Done() <-chan struct{} { return c.done }
func (c *watchedContext) AfterFunc(func()) (stop func() bool) {
	c.watchers++
	return func() bool { c.watchers--; return true }
}
