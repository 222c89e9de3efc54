package sessionmap_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// Programs over the whole of what maps and groups can do, of which a random generator or the fuzzer makes up each step.

// A chaos is a program over a map, in fake time, of which pick decides each step.
type chaos struct {
	ledger
	t       testing.TB
	m       *sessionmap.RobustSessionMap[int, *thing]
	pick    func(n int) int // from 0 to n-1
	publish func(key int)   // tells that a session is deleted

	plain  map[int]int // what the map has to hold, where only the calls decide that; nil where time or bounds do too
	leases []*sessionmap.Lease[int, *thing]
	bound  map[int]func()    // by key, what cancels the context that the session was bound to last
	named  map[int]time.Time // by key, when a session was last renamed to it
	undo   []func()
	unhook func()
	made   func(*thing)
}

// newChaos makes a program over a map with the given options, in a bubble.
func newChaos(t testing.TB, pick func(n int) int, publish func(key int), opts ...sessionmap.Option) *chaos {
	c := &chaos{t: t, pick: pick, publish: publish, bound: make(map[int]func()), named: make(map[int]time.Time), unhook: func() {}, made: func(*thing) {}}
	c.m = sessionmap.MustNew[int, *thing](append(opts, silent, sessionmap.WithOnRemove(c.left))...)
	return c
}

const chaosKeys = 24

// thing makes a value.
func (c *chaos) thing() *thing {
	v := c.ledger.thing()
	c.made(v)
	return v
}

// found checks what a call has found under key.
func (c *chaos) found(key int, v *thing, ok bool) {
	c.t.Helper()
	c.there(key, ok)
	if ok && c.plain != nil {
		require.Equal(c.t, c.plain[key], v.number, "key %d", key)
	}
}

// there checks whether a call should have found key.
func (c *chaos) there(key int, ok bool) {
	c.t.Helper()
	if c.plain != nil {
		_, want := c.plain[key]
		require.Equal(c.t, want, ok, "key %d", key)
	}
}

// took notes that a call has taken v, and stored it under key or refused it.
func (c *chaos) took(key int, v *thing, stored bool) {
	c.t.Helper()
	c.put(v)
	if c.plain != nil {
		require.True(c.t, stored, "key %d was refused", key)
		c.plain[key] = v.number
	}
}

// gone notes that the session of key has ended.
func (c *chaos) gone(key int) {
	delete(c.plain, key)
	delete(c.bound, key)
}

// load returns a load function for v.
func (c *chaos) load(v *thing) func(context.Context, int) (*thing, error) {
	outcome := c.pick(5)
	return func(context.Context, int) (*thing, error) {
		switch outcome {
		case 0:
			return nil, errors.ErrUnsupported
		case 1:
			panic("load")
		case 2:
			time.Sleep(time.Second)
		}
		c.put(v)
		return v, nil
	}
}

// bind notes that the session of key is bound to what cancel cancels. It is no longer to what it was bound to before.
func (c *chaos) bind(key int, cancel func()) {
	if before := c.bound[key]; before != nil {
		before()
		synctest.Wait()
	}
	c.bound[key] = cancel
}

// A chaosOp is one kind of step of a chaos.
type chaosOp struct {
	name string
	run  func(c *chaos, key int)
}

var chaosOps = []chaosOp{
	{"Get", func(c *chaos, key int) { v, ok := c.m.Get(key); c.found(key, v, ok) }},
	{"Peek", func(c *chaos, key int) { v, ok := c.m.Peek(key); c.found(key, v, ok) }},
	{"Contains", func(c *chaos, key int) { c.there(key, c.m.Contains(key)) }},
	{"Touch", func(c *chaos, key int) { c.there(key, c.m.Touch(key)) }},
	{"Entry", func(c *chaos, key int) { _, ok := c.m.Entry(key); c.there(key, ok) }},
	{"Set", func(c *chaos, key int) { v := c.thing(); c.took(key, v, c.m.Set(key, v)) }},
	{"Set", func(c *chaos, key int) { v := c.thing(); c.took(key, v, c.m.Set(key, v)) }},
	{"SetWithTTL", func(c *chaos, key int) {
		v, timeout := c.thing(), []time.Duration{1, time.Second, idle / 2, 2 * idle}[c.pick(4)]
		if c.plain != nil {
			timeout = 1 << 62
		}
		c.took(key, v, c.m.SetWithTTL(key, v, timeout))
	}},
	{"SetWithTTL, refused", func(c *chaos, key int) {
		v := c.thing()
		require.False(c.t, c.m.SetWithTTL(key, v, -1))
		c.put(v)
	}},
	{"GetOrSet", func(c *chaos, key int) {
		v := c.thing()
		actual, loaded := c.m.GetOrSet(key, v)
		if c.there(key, loaded); loaded {
			c.found(key, actual, true)
			return
		}
		require.Same(c.t, v, actual)
		c.took(key, v, true)
	}},
	{"Update", func(c *chaos, key int) {
		v, outcome := c.thing(), c.pick(3)
		asked := false
		c.m.Update(key, func(old *thing, ok bool) (*thing, bool) {
			asked = true
			if c.found(key, old, ok); outcome == 0 {
				panic("update")
			}
			return v, outcome == 1
		})
		switch {
		case asked && outcome == 1:
			c.took(key, v, true)
		case outcome == 2:
			c.gone(key)
		}
	}},
	{"Take", func(c *chaos, key int) { v, ok := c.m.Take(key); c.found(key, v, ok); c.gone(key) }},
	{"Delete", func(c *chaos, key int) { c.there(key, c.m.Delete(key)); c.gone(key) }},
	{"Scope", func(c *chaos, key int) { c.m.Scope(key)(); c.gone(key) }},
	{"DeleteFunc", func(c *chaos, key int) {
		c.m.DeleteFunc(func(k int, v *thing) bool {
			if c.found(k, v, true); k == key {
				panic("predicate")
			}
			return k%4 == key%4
		})
		for k := range chaosKeys {
			if k != key && k%4 == key%4 {
				c.gone(k)
			}
		}
	}},
	{"Clear", func(c *chaos, _ int) {
		if c.pick(4) > 0 {
			return
		}
		n := c.m.Clear()
		if c.plain != nil {
			require.Len(c.t, c.plain, n)
			clear(c.plain)
		}
		clear(c.bound)
	}},
	{"Adopt", func(c *chaos, key int) {
		v := c.thing()
		from := map[int]*thing{key: v}
		c.took(key, v, c.m.Adopt(from) == 1)
		require.Empty(c.t, from)
	}},
	{"All", func(c *chaos, key int) {
		for k, v := range c.m.All() {
			if c.found(k, v, true); k == key {
				c.m.Delete(k)
				c.gone(k)
			}
		}
	}},
	{"Oldest", func(c *chaos, _ int) {
		n := 0
		for k, v := range c.m.Oldest() {
			c.found(k, v, true)
			n++
		}
		if c.plain != nil {
			require.Len(c.t, c.plain, n)
		}
	}},
	{"Keys", func(c *chaos, key int) {
		for k := range c.m.Keys() {
			if c.there(k, true); k >= key {
				break
			}
		}
	}},
	{"Stats", func(c *chaos, _ int) { _, _, _ = c.m.Stats(), c.m.String(), c.m.LogValue() }},
	{"Sweep", func(c *chaos, _ int) { c.m.Sweep() }},
	{"Acquire", func(c *chaos, key int) {
		lease, ok := c.m.Acquire(key)
		if c.there(key, ok); ok {
			c.leases = append(c.leases, lease)
			c.found(key, lease.Value(), lease.Key() == key)
		}
	}},
	{"Release", func(c *chaos, key int) {
		if n := len(c.leases); n > 0 {
			i := key % n
			_, _, _ = c.leases[i].Key(), c.leases[i].Value(), c.leases[i].Context()
			c.leases[i].Release()
			c.leases[i].Release()
			c.leases = slices.Delete(c.leases, i, i+1)
		}
	}},
	{"Leases", func(c *chaos, key int) {
		for k := range c.m.Leases() {
			if c.there(k, c.m.Contains(k)); k == key {
				break
			}
		}
	}},
	{"SessionContext", func(c *chaos, key int) {
		ctx, ok := c.m.SessionContext(key)
		c.there(key, ok)
		require.Equal(c.t, ok, ctx.Err() == nil)
	}},
	{"BindContext", func(c *chaos, key int) {
		ctx, cancel := context.WithCancel(c.t.Context())
		c.undo = append(c.undo, cancel)
		ok := c.m.BindContext(ctx, key)
		if c.there(key, ok); ok {
			c.bind(key, cancel)
		}
	}},
	{"SetContext", func(c *chaos, key int) {
		ctx, cancel := context.WithCancel(c.t.Context())
		c.undo = append(c.undo, cancel)
		v := c.thing()
		stored := c.m.SetContext(ctx, key, v)
		if c.took(key, v, stored); stored {
			c.bind(key, cancel)
		}
	}},
	{"cancel", func(c *chaos, key int) {
		if cancel := c.bound[key]; cancel != nil {
			cancel()
			synctest.Wait()
			c.gone(key)
			c.there(key, c.m.Contains(key))
		}
	}},
	{"Rename", func(c *chaos, key int) {
		to := c.pick(chaosKeys)
		err := c.m.Rename(key, to)
		if c.plain != nil {
			_, from := c.plain[key]
			_, taken := c.plain[to]
			require.Equal(c.t, from && (!taken || to == key), err == nil, "%d to %d: %v", key, to, err)
		}
		if number, cancel := c.plain[key], c.bound[key]; err == nil && to != key {
			c.gone(key)
			c.named[to] = time.Now()
			if c.plain != nil {
				c.plain[to] = number
			}
			if cancel != nil {
				c.bound[to] = cancel
			}
		}
	}},
	{"GetOrLoad", func(c *chaos, key int) {
		v := c.thing()
		got, err := c.m.GetOrLoad(c.t.Context(), key, c.load(v))
		if err == nil && got == v {
			c.there(key, false)
			c.took(key, v, true)
		} else if err == nil {
			c.found(key, got, true)
		}
	}},
	{"GetOrLoad, given up", func(c *chaos, key int) {
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Millisecond)
		defer cancel()
		_, known := c.plain[key]
		v := c.thing()
		got, err := c.m.GetOrLoad(ctx, key, func(ctx context.Context, _ int) (*thing, error) {
			<-ctx.Done()
			c.put(v)
			return v, nil
		})
		require.Equal(c.t, err == nil, got != nil)
		require.True(c.t, c.plain == nil || known == (err == nil))
		synctest.Wait()
	}},
	{"Refresh", func(c *chaos, key int) {
		v := c.thing()
		if load := c.load(v); c.m.Refresh(key, load) {
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if got, ok := c.m.Peek(key); ok && got == v && c.plain != nil {
				c.plain[key] = v.number
			}
		}
	}},
	{"OnRemove", func(c *chaos, key int) {
		c.unhook()
		c.unhook = c.m.OnRemove(func(k int, _ *thing, _ sessionmap.Cause) {
			if k == key {
				panic("callback")
			}
		})
	}},
	{"event", func(c *chaos, key int) { c.publish(key) }},
	{"event", func(c *chaos, key int) { c.publish(key) }},
	{"sleep", func(c *chaos, key int) { time.Sleep(time.Duration(key) * idle / 8) }},
	{"sleep", func(c *chaos, key int) { time.Sleep(time.Duration(key) * time.Second) }},
}

// step does one step, and returns its name.
func (c *chaos) step() string {
	op := chaosOps[c.pick(len(chaosOps))]
	op.run(c, c.pick(chaosKeys))
	return op.name
}

// rest ends what the program has begun, and looks at everything.
func (c *chaos) rest() {
	for _, lease := range c.leases {
		lease.Release()
	}
	c.leases = nil
	for _, undo := range c.undo {
		undo()
	}
	c.undo = nil
	synctest.Wait()
	c.check()
}

// check looks at everything. The map must be at rest.
func (c *chaos) check() {
	c.t.Helper()
	c.m.Sweep()
	require.NoError(c.t, sessionmap.CheckInvariants(c.m))
	c.balance(c.t, maps.Collect(c.m.All()), c.m.Stats())
}

// clears checks that time alone empties the map.
func (c *chaos) clears() {
	c.rest()
	time.Sleep(3 * idle)
	synctest.Wait()
	assert.Zero(c.t, c.m.Len(), "the clock clears everything at last")
	c.check()
}
