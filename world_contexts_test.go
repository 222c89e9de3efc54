package sessionmap_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// Contexts that end at every point, and some of other makes than package context's.

// A foreignContext is not of the standard library's making.
type foreignContext struct {
	context.Context
	mu   sync.Mutex
	done chan struct{}
	err  error
}

func newForeignContext() *foreignContext {
	return &foreignContext{Context: context.Background(), done: make(chan struct{})}
}

func (c *foreignContext) Done() <-chan struct{} { return c.done }

func (c *foreignContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *foreignContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = context.Canceled
		close(c.done)
	}
}

// A listingContext is one that knows who waits for it.
type listingContext struct {
	*foreignContext
	waiting map[*func()]bool
}

func (c *listingContext) AfterFunc(fn func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go fn()
		return func() bool { return false }
	}
	c.waiting[&fn] = true
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		waited := c.waiting[&fn]
		delete(c.waiting, &fn)
		return waited
	}
}

func (c *listingContext) cancel() {
	c.foreignContext.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	for fn := range c.waiting {
		go (*fn)()
	}
	clear(c.waiting)
}

// contextKinds make contexts with what cancels them, and what tells how many wait for them.
var contextKinds = map[string]func() (ctx context.Context, cancel func(), waiting func() int){
	"standard": func() (context.Context, func(), func() int) {
		ctx, cancel := context.WithCancel(context.Background())
		return ctx, cancel, func() int { return 0 }
	},
	"foreign": func() (context.Context, func(), func() int) { // a goroutine waits for each who waits for it: the bubble misses none
		ctx := newForeignContext()
		return context.WithValue(ctx, ctx, ctx), ctx.cancel, func() int { return 0 }
	},
	"listing": func() (context.Context, func(), func() int) {
		ctx := &listingContext{newForeignContext(), make(map[*func()]bool)}
		return ctx, ctx.cancel, func() int { return len(ctx.waiting) }
	},
}

// An errand is something to do with a context, in the course of which it is cancelled.
type errand struct {
	t      *testing.T
	ctx    context.Context
	at     func(moment string) // which may be the one to cancel it at
	m      *sessionmap.RobustSessionMap[int, *thing]
	g      *sessionmap.Group[int]
	books  ledger
	during func() // called by the callbacks of m
}

func (e *errand) set(key int) {
	v := e.books.thing()
	assert.True(e.t, e.m.Set(key, v))
	e.books.put(v)
}

// load loads until it is cancelled, and then all the same.
func (e *errand) load(ctx context.Context, _ int) (*thing, error) {
	e.at("during")
	select {
	case <-ctx.Done():
	case <-time.After(time.Minute):
	}
	v := e.books.thing()
	e.books.put(v)
	return v, nil
}

// within is for a round of a session.
func (e *errand) within(ctx context.Context, _ *sessionmap.Session[int]) error {
	e.at("during")
	synctest.Wait()
	assert.Equal(e.t, e.ctx.Err() == nil, ctx.Err() == nil)
	return nil
}

// errands end session 1 if the context is cancelled at any moment and ends says so.
var errands = []struct {
	name string
	ends bool
	run  func(e *errand)
}{
	{"GetOrLoad", false, func(e *errand) {
		v, err := e.m.GetOrLoad(e.ctx, 1, e.load)
		assert.True(e.t, err == nil && v != nil || err == context.Canceled, "%v, %v", v, err)
	}},
	{"GetOrLoad of several", false, func(e *errand) {
		go func() { _, _ = e.m.GetOrLoad(e.ctx, 1, e.load) }()
		v, err := e.m.GetOrLoad(context.Background(), 1, e.load)
		assert.NoError(e.t, err)
		assert.NotNil(e.t, v)
	}},
	{"BindContext", true, func(e *errand) {
		e.set(1)
		e.during = func() { e.at("during") }
		e.m.BindContext(e.ctx, 1)
		e.set(2) // one of the occasions for during
		e.m.Set(2, stranger)
	}},
	{"BindContext, then another", false, func(e *errand) {
		e.set(1)
		e.m.BindContext(e.ctx, 1)
		synctest.Wait()
		if e.m.BindContext(context.Background(), 1) {
			e.at("during")
			synctest.Wait()
			assert.True(e.t, e.m.Contains(1), "it is not bound to that context any more")
		}
	}},
	{"BindContext, then Rename", true, func(e *errand) {
		e.set(2)
		e.during = func() { e.at("during") }
		e.m.BindContext(e.ctx, 2)
		e.set(3)
		e.m.Delete(3)
		_ = e.m.Rename(2, 1)
	}},
	{"SetContext", true, func(e *errand) {
		e.during = func() { e.at("during") } // called for the cost, before it is stored
		v := e.books.thing()
		e.m.SetContext(e.ctx, 1, v)
		e.books.put(v)
	}},
	{"BindContext of a group", true, func(e *errand) {
		e.g.Touch(1)
		e.at("during")
		e.g.BindContext(e.ctx, 1)
	}},
	{"Do", false, func(e *errand) { assert.NoError(e.t, e.g.Do(e.ctx, 1, e.within)) }},
	{"Run", false, func(e *errand) { assert.NoError(e.t, e.g.Run(e.ctx, 1, e.within)) }},
	{"Within", false, func(e *errand) {
		e.set(1)
		lease, _ := e.m.Acquire(1)
		_, stop := lease.Within(e.ctx)
		e.at("during")
		stop()
		stop()
		assert.Zero(e.t, sessionmap.EndsOf(lease))
		lease.Release()
	}},
	{"WithContext", false, func(e *errand) { // of a map of its own
		m, err := sessionmap.New[int, *thing](sessionmap.WithContext(e.ctx), sessionmap.WithOnRemove(func(int, *thing, sessionmap.Cause) { e.at("during") }))
		if assert.Equal(e.t, e.ctx.Err() == nil, err == nil); err != nil {
			return
		}
		m.Set(1, stranger)
		m.Delete(1)
		m.Set(1, stranger)
		e.at("after")
		synctest.Wait()
		assert.Equal(e.t, e.ctx.Err() == nil, m.Contains(1))
		assert.NoError(e.t, m.Close())
	}},
}

// TestWorldContexts cancels contexts at every point.
func TestWorldContexts(t *testing.T) {
	total := 0
	for range *faults {
		for kind, newContext := range contextKinds {
			for _, errand := range errands {
				for _, moment := range []string{"before", "during", "after", "never"} {
					t.Run(kind+"/"+errand.name+"/"+moment, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { runErrand(t, newContext, errand.run, errand.ends, moment) })
					})
					total++
				}
			}
		}
	}
	injected(t, "contexts", total)
}

func runErrand(t *testing.T, newContext func() (context.Context, func(), func() int), run func(e *errand), ends bool, moment string) {
	ctx, cancel, waiting := newContext()
	e := &errand{t: t, ctx: ctx, g: newGroup(t, sessionmap.WithTTL(idle)), during: func() {}}
	e.at = func(now string) {
		if now == moment {
			cancel()
		}
	}
	e.m = newMap[int, *thing](t, sessionmap.WithTTL(idle), sessionmap.WithOnRemove(e.books.left), sessionmap.WithOnRemove(func(int, *thing, sessionmap.Cause) { e.during() }),
		sessionmap.WithMaxCost(1<<40, func(int, *thing) int64 { e.during(); return 1 }))
	e.at("before")
	run(e)
	e.at("after")
	synctest.Wait()
	assert.Zero(t, sessionmap.LoadsUnderWay(e.m))
	if ends {
		assert.Equal(t, moment == "never", e.m.Contains(1) || e.g.Contains(1), "the session ends with its context, and not before")
	}
	e.m.Delete(1)
	e.g.Delete(1)
	assert.Zero(t, waiting(), "nothing is left with the context")
	e.m.Clear()
	e.books.balance(t, nil, e.m.Stats())
}

// TestWorldOneContext: thousands of sessions have the same context.
func TestWorldOneContext(t *testing.T) {
	n := 2000 * *faults
	for kind, newContext := range contextKinds {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var books ledger
				m := newMap[int, *thing](t, sessionmap.WithMaxSize(0), sessionmap.WithOnRemove(books.left))
				ctx, cancel, waiting := newContext()
				other, cancelOther, _ := newContext()
				for key := range n {
					v := books.thing()
					m.SetContext(ctx, key, v)
					books.put(v)
					switch key % 4 {
					case 0:
						m.Delete(key)
					case 1:
						m.BindContext(other, key)
					case 2:
						require.NoError(t, m.Rename(key, key+n))
					}
				}
				if kind == "listing" {
					assert.Equal(t, n/2, waiting())
				}
				go m.DeleteFunc(func(key int, _ *thing) bool { return key%4 == 3 }) // some of those that end just then
				cancel()
				synctest.Wait()
				assert.Equal(t, n/4, m.Len(), "those that are bound to the other are left")
				assert.Zero(t, waiting())
				cancelOther()
				synctest.Wait()
				assert.Zero(t, m.Len())
				books.balance(t, nil, m.Stats())
			})
		})
	}
	injected(t, "one-context", n*len(contextKinds))
}
