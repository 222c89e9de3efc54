package sessionmap_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// A resource counts how often it is closed.
type resource struct {
	closed int
	err    error
}

func (r *resource) Close() error {
	r.closed++
	return r.err
}

// TestCloser: what leaves is closed, once, whatever the cause, after OnRemove has seen it open.
func TestCloser(t *testing.T) {
	for cause := range sessionmap.Causes() {
		if cause == sessionmap.Rejected {
			continue // below
		}
		t.Run(cause.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := newOutside()
				r := new(resource)
				heard := 0
				var ending atomic.Bool
				m := newMap[int, *resource](t, append(mapOptions[*resource](out), sessionmap.WithCloser())...)
				m.OnRemove(func(_ int, left *resource, why sessionmap.Cause) {
					if left == r && ending.Load() {
						heard++
						assert.Equal(t, cause, why)
						assert.Zero(t, left.closed)
					}
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				m.SetContext(ctx, 1, r)
				m.Set(1, r)
				m.Update(1, func(old *resource, _ bool) (*resource, bool) { return old, true })
				assert.Equal(t, 0, r.closed, "replaced by itself it stays open")
				ending.Store(true)
				if cause == sessionmap.Replaced {
					m.Set(1, new(resource))
				} else {
					endableMap(m, out, 1, new(resource), cancel).endBy(t, cause)
				}
				assert.Equal(t, 1, heard)
				assert.Equal(t, 1, r.closed)
				m.Clear()
				assert.Equal(t, 1, r.closed)
			})
		})
	}
	t.Run("rejected", func(t *testing.T) {
		m := newMap[int, *resource](t, sessionmap.WithCloser())
		require.NoError(t, m.Close())
		r := new(resource)
		m.Set(1, r)
		assert.Equal(t, 1, r.closed)
	})
}

type quiet struct{ closed *int }

func (q quiet) Close() { *q.closed++ }

// TestCloserKinds: whatever can be closed is.
func TestCloserKinds(t *testing.T) {
	closed := 0
	count := func() { closed++ }
	functions := newMap[int, func()](t, sessionmap.WithCloser())
	functions.Set(1, count)
	functions.Delete(1)
	assert.Equal(t, 1, closed)
	functions.Set(1, nil)
	functions.Delete(1)
	cancels := newMap[int, context.CancelFunc](t, sessionmap.WithCloser())
	cancels.Set(1, count)
	cancels.Delete(1)
	assert.Equal(t, 2, closed)
	quiets := newMap[int, quiet](t, sessionmap.WithCloser())
	quiets.Set(1, quiet{&closed})
	quiets.Set(1, quiet{&closed})
	assert.Equal(t, 2, closed, "an equal value")
	quiets.Delete(1)
	assert.Equal(t, 3, closed)
	things := newMap[int, any](t, sessionmap.WithCloser())
	for i, thing := range []any{nil, 1, "a", []int{1}, (*resource)(nil), quiet{&closed}, count, context.CancelFunc(count), &resource{}} {
		things.Set(i, thing)
		things.Set(i, i)
	}
	things.Clear()
	assert.Equal(t, 6, closed)
	assert.Zero(t, things.Stats().CallbackPanics)
	closers := newMap[int, io.Closer](t, sessionmap.WithCloser())
	r := &resource{}
	closers.Set(1, r)
	closers.Set(1, r)
	assert.Zero(t, r.closed)
	closers.Delete(1)
	assert.Equal(t, 1, r.closed)
	_, err := sessionmap.New[int, int](sessionmap.WithCloser())
	assert.EqualError(t, err, "sessionmap: WithCloser(int): want values that can be closed")
}

func TestCloserFails(t *testing.T) {
	var log bytes.Buffer
	m := newMap[int, io.Closer](t, sessionmap.WithCloser(), sessionmap.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	m.Set(1, &resource{err: errors.New("disk full")})
	m.Set(2, (*panicking)(nil))
	m.Set(3, &panicking{})
	m.Set(4, &resource{})
	m.Clear()
	s := m.Stats()
	assert.EqualValues(t, 1, s.CloseErrors)
	assert.EqualValues(t, 1, s.CallbackPanics)
	assert.Contains(t, log.String(), "disk full")
}

type panicking struct{ _ int }

func (p *panicking) Close() error { panic("no") }

func TestAttributeCloser(t *testing.T) {
	g := newGroup(t)
	a := sessionmap.NewAttribute[*resource](g, "a", sessionmap.WithCloser())
	r, other := &resource{}, &resource{}
	a.Set(1, r)
	a.Set(1, r)
	assert.Zero(t, r.closed)
	a.Set(1, other)
	assert.Equal(t, 1, r.closed)
	g.Delete(1)
	assert.Equal(t, 1, other.closed)
	assert.Equal(t, 1, r.closed)
}

func TestWeak(t *testing.T) {
	type conn struct{ _ [64]byte }
	w := sessionmap.NewWeak[conn, string]()
	a, b := &conn{}, &conn{}
	_, ok := w.Get(a)
	assert.False(t, ok)
	w.Set(a, "a")
	w.Set(a, "A")
	value, loaded := w.GetOrSet(b, "b")
	assert.False(t, loaded)
	assert.Equal(t, "b", value)
	value, loaded = w.GetOrSet(b, "B")
	assert.True(t, loaded)
	assert.Equal(t, "b", value)
	value, ok = w.Get(a)
	assert.True(t, ok)
	assert.Equal(t, "A", value)
	assert.Equal(t, 2, w.Len())
	assert.True(t, w.Delete(b))
	assert.False(t, w.Delete(b))
	assert.False(t, w.Delete(nil))
	w.Set(b, "b again")
	_, ok = w.Update(b, func(old string, ok bool) (string, bool) {
		assert.True(t, ok)
		return old + "!", true
	})
	assert.True(t, ok)
	value, _ = w.Get(b)
	assert.Equal(t, "b again!", value)
	assert.Panics(t, func() { w.Set(nil, "") })
	_, ok = w.Get(nil)
	assert.False(t, ok)
	runtime.KeepAlive(a)
	runtime.KeepAlive(b)
}

// TestWeakCollected: values go with their objects, which they do not hold.
func TestWeakCollected(t *testing.T) {
	type conn struct{ _ [64]byte }
	w := sessionmap.NewWeak[conn, *int]()
	kept := &conn{}
	w.Set(kept, new(int))
	for range 1000 {
		c := &conn{}
		w.Set(c, new(int))
		w.Set(c, new(int))
	}
	for w.Len() > 1 { // the test's own time limit is the only one
		runtime.GC()
		runtime.Gosched()
	}
	_, ok := w.Get(kept)
	assert.True(t, ok)
	runtime.KeepAlive(kept)
}

// TestWeakDropped: the objects do not keep it.
func TestWeakDropped(t *testing.T) {
	type conn struct{ _ [64]byte }
	kept := &conn{}
	var dropped weak.Pointer[sessionmap.Weak[conn, *int]]
	func() {
		w := sessionmap.NewWeak[conn, *int]()
		w.Set(kept, new(int))
		dropped = weak.Make(w)
	}()
	for dropped.Value() != nil { // the test's own time limit is the only one
		runtime.GC()
		runtime.Gosched()
	}
	runtime.KeepAlive(kept)
}
