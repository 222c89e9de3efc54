package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// TestMain lets the test binary be the child, too.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		beChild()
		return
	}
	os.Exit(m.Run())
}

// A launcher stands for the operating system: its processes live in the bubble.
type launcher struct {
	mu     sync.Mutex
	closed []int // how often, by process
}

func (l *launcher) launch() (io.Closer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = append(l.closed, 0)
	return closing{l, len(l.closed) - 1}, nil
}

type closing struct {
	l      *launcher
	number int
}

func (c closing) Close() error {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	c.l.closed[c.number]++
	return nil
}

// start makes a host that is closed at the end of the test or bubble.
func start(t *testing.T, newHost func(*machine, *sessionmap.Bus[string]) host) (host, *machine, *launcher, *sessionmap.Bus[string]) {
	t.Helper()
	l, events := &launcher{}, sessionmap.NewBus[string]()
	m := &machine{launch: l.launch}
	h := newHost(m, events)
	t.Cleanup(func() {
		assert.NoError(t, h.close())
		assert.Zero(t, m.heartbeats.Load())
		assert.Zero(t, m.processes.Load())
	})
	return h, m, l, events
}

// departures count what has left, by attribute and session.
type departures struct {
	mu   sync.Mutex
	left map[string]int
}

func watch[V any](d *departures, a *sessionmap.Attribute[string, V]) {
	a.OnRemove(func(id string, _ V, cause sessionmap.Cause) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if cause != sessionmap.Replaced { // the number that usage counts up
			d.left[a.Stats().Name+" of "+id+": "+cause.String()]++
		}
	})
}

func (d *departures) watch(h *afterHost) {
	watch(d, h.agents)
	watch(d, h.models)
	watch(d, h.histories)
	watch(d, h.results)
	watch(d, h.injected)
	watch(d, h.inFlight)
	watch(d, h.seen)
	watch(d, h.usage)
	watch(d, h.heartbeats)
	watch(d, h.processes)
}

// nothing is what count returns when nothing is left.
var nothing = make([]int, len(kinds)+2)

func TestStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		require.NoError(t, run(&out, (&launcher{}).launch))
		assert.Equal(t, `40 sessions have ended, and 8 of the events that say so have arrived. Left behind:

                            eight maps             one group
                      at once      later    at once      later
agents                     32         32         32          0
models                     32         32         32          0
histories                  32         32         32          0
tool results               32         32         32          0
injected paths             32         32         32          0
calls in flight            32         32         32          0
seen messages              40         40         32          0
token usage                32         32         32          0
token cache                32         32         32          0
heartbeats running         40         40         32          0
processes alive             4          4          4          0

later: when the idle timeout has passed
`, out.String())
	})
}

func TestStoryWithoutProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		none := errors.New("no processes here")
		assert.ErrorIs(t, run(io.Discard, func() (io.Closer, error) { return nil, none }), none)
	})
}

// TestBeforeKeeps: the idle timeout is nothing to the maps, and even where the event arrives something stays.
func TestBeforeKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, m, l, events := start(t, newBeforeHost)
		require.NoError(t, converse(h))
		for i := range sessions - 1 {
			events.Publish(sessionID(i))
		}
		time.Sleep(100 * idle)
		want := []int{1, 1, 1, 1, 1, 1, sessions, 1, 1, sessions, 0}
		assert.Equal(t, want, count(h, m))
		assert.Equal(t, []int{1, 1, 1, 1, 1}, l.closed)

		beats := m.beats.Load()
		time.Sleep(idle)
		assert.Greater(t, m.beats.Load(), beats, "for sessions that nobody has")
	})
}

// TestAfterReleases: each value of each session is released once, by the event or else by the idle timeout.
func TestAfterReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, m, l, events := start(t, newAfterHost)
		d := departures{left: make(map[string]int)}
		d.watch(h.(*afterHost))
		require.NoError(t, converse(h))
		assert.Equal(t, []int{sessions, sessions, sessions, sessions, sessions, sessions, sessions, sessions, sessions, sessions, 5}, count(h, m))
		assert.Empty(t, d.left)
		for i := 0; i < sessions; i += arriveEvery {
			events.Publish(sessionID(i))
		}
		time.Sleep(2 * idle)
		synctest.Wait()
		assert.Equal(t, nothing, count(h, m))
		assert.Equal(t, []int{1, 1, 1, 1, 1}, l.closed)

		want := make(map[string]int)
		for i := range sessions {
			cause := sessionmap.Idle
			if i%arriveEvery == 0 {
				cause = sessionmap.SessionDeleted
			}
			names := []string{"agents", "models", "histories", "results", "injected", "in flight", "seen", "usage", "heartbeats"}
			if i%processEvery == 0 {
				names = append(names, "processes")
			}
			for _, name := range names {
				want[fmt.Sprintf("%s of %s: %s", name, sessionID(i), cause)] = 1
			}
		}
		assert.Equal(t, want, d.left)
		beats := m.beats.Load()
		time.Sleep(idle)
		assert.Equal(t, beats, m.beats.Load())

		events.Publish(sessionID(1)) // at last
		require.NoError(t, h.close())
		assert.Equal(t, want, d.left, "nothing leaves twice")
		assert.Equal(t, []int{1, 1, 1, 1, 1}, l.closed)
	})
}

// TestLongRound: no sweep ends a session in the middle of its work.
func TestLongRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, m, _, _ := start(t, newAfterHost)
		h.begin("long", "planner", "large")
		h.begin("waiting", "planner", "large")
		require.NoError(t, h.spawn("long"))
		require.NoError(t, h.round(t.Context(), "long", "think", func(ctx context.Context, _, _, _ string) (string, error) {
			time.Sleep(10 * idle)
			synctest.Wait()
			assert.NoError(t, ctx.Err())
			assert.EqualValues(t, 1, m.heartbeats.Load(), "the other one has idled out")
			assert.EqualValues(t, 1, m.processes.Load())
			return "done", nil
		}))
		assert.Equal(t, []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, count(h, m))
		time.Sleep(idle - 1)
		assert.NoError(t, h.round(t.Context(), "long", "and again", echo), "the end of the round is an access")
		time.Sleep(2 * idle)
		synctest.Wait()
		assert.Equal(t, nothing, count(h, m))
		assert.ErrorIs(t, h.round(t.Context(), "long", "too late", echo), errNoSession)
	})
}

// TestDeletedDuringARound: the round hears of it; what it sets all the same is not there for ever, as it is
// with maps.
func TestDeletedDuringARound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		after, m, _, afterEvents := start(t, newAfterHost)
		after.begin("a", "planner", "large")
		require.NoError(t, after.spawn("a"))
		require.NoError(t, after.round(t.Context(), "a", "think", func(ctx context.Context, _, _, _ string) (string, error) {
			afterEvents.Publish("a")
			<-ctx.Done()
			var ended *sessionmap.EndedError
			require.ErrorAs(t, context.Cause(ctx), &ended)
			assert.Equal(t, sessionmap.SessionDeleted, ended.Cause)
			assert.Equal(t, nothing, count(after, m))
			return "regardless", nil
		}))
		assert.NotEqual(t, nothing, count(after, m))

		before, _, _, beforeEvents := start(t, newBeforeHost)
		before.begin("a", "planner", "large")
		require.NoError(t, before.round(t.Context(), "a", "think", func(context.Context, string, string, string) (string, error) {
			beforeEvents.Publish("a")
			return "regardless", nil
		}))
		time.Sleep(2 * idle)
		synctest.Wait()
		assert.Equal(t, nothing, count(after, m))
		assert.Equal(t, []int{0, 0, 0, 1, 0, 0, 1, 1, 1}, before.held())
	})
}

// TestFailedRound: a call that fails is no longer in flight.
func TestFailedRound(t *testing.T) {
	for name, newHost := range map[string]func(*machine, *sessionmap.Bus[string]) host{"before": newBeforeHost, "after": newAfterHost} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, _, _, _ := start(t, newHost)
				assert.ErrorIs(t, h.round(t.Context(), "a", "hello", echo), errNoSession)
				h.begin("a", "planner", "large")
				failed := errors.New("overloaded")
				assert.ErrorIs(t, h.round(t.Context(), "a", "hello", func(context.Context, string, string, string) (string, error) {
					return "", failed
				}), failed)
				assert.NoError(t, h.round(t.Context(), "a", "hello", func(context.Context, string, string, string) (string, error) {
					t.Error("asked what has been asked before")
					return "", nil
				}))
				assert.Equal(t, []int{1, 1, 1, 0, 1, 1, 1, 0, 0}, h.held())
			})
		})
	}
}

// TestBeginAgain: what is replaced is released as well.
func TestBeginAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, m, l, _ := start(t, newAfterHost)
		for range 3 {
			h.begin("a", "planner", "large")
			require.NoError(t, h.spawn("a"))
		}
		assert.EqualValues(t, 1, m.heartbeats.Load())
		assert.Equal(t, []int{1, 1, 0}, l.closed)
		require.NoError(t, h.close())
		assert.Equal(t, []int{1, 1, 1}, l.closed)
	})
}

func needProcesses(t *testing.T) {
	t.Helper()
	if runtime.GOARCH == "wasm" {
		t.Skip("no processes in WebAssembly")
	}
}

// TestRealChild is in no bubble: the end of a session ends a process of the operating system.
func TestRealChild(t *testing.T) {
	needProcesses(t)
	var c *child
	events := sessionmap.NewBus[string]()
	m := &machine{launch: func() (_ io.Closer, err error) {
		c, err = startChild()
		return c, err
	}}
	h := newAfterHost(m, events).(*afterHost)
	// Run leases the session, so that the idle timeout has no part in this, however slow the machine is.
	err := h.sessions.Run(t.Context(), "a", func(ctx context.Context, _ *sessionmap.Session[string]) error {
		if err := h.spawn("a"); err != nil {
			return err
		}
		assert.EqualValues(t, 1, m.processes.Load())
		events.Publish("a")
		select {
		case <-c.ended:
		default:
			t.Error("Publish returns when all is released")
		}
		<-ctx.Done()
		return context.Cause(ctx)
	})
	var ended *sessionmap.EndedError
	require.ErrorAs(t, err, &ended)
	assert.Equal(t, sessionmap.SessionDeleted, ended.Cause)
	assert.False(t, c.cmd.ProcessState.Success(), "it was killed")
	require.NoError(t, h.close())
	assert.Zero(t, m.processes.Load())
}

// TestOrphan: a child whose parent is gone goes as well.
func TestOrphan(t *testing.T) {
	needProcesses(t)
	c, err := startChild()
	require.NoError(t, err)
	require.NoError(t, c.stdin.Close())
	<-c.ended
	assert.True(t, c.cmd.ProcessState.Success())
	assert.NoError(t, c.Close(), "when it has ended already")
}
