package sessionmap_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// A groupChaos is a chaos over a group.
type groupChaos struct {
	t       testing.TB
	g       *sessionmap.Group[int]
	pick    func(n int) int
	publish func(key int)

	attributes [2]*sessionmap.Attribute[int, *thing]
	books      [2]ledger
	index      *sessionmap.Index[int, int] // of the first attribute
	ended      uint64
	plain      map[int]*[2]int // by session, the numbers of its attributes, from 1; nil where time or bounds decide
	leases     []*sessionmap.Lease[int, *sessionmap.Session[int]]
	undo       []func()

	mu      sync.Mutex
	guarded map[int]bool
	guard   *sessionmap.Guard[int]
}

func newGroupChaos(t testing.TB, pick func(n int) int, publish func(key int), opts ...sessionmap.Option) *groupChaos {
	c := &groupChaos{t: t, pick: pick, publish: publish, guarded: make(map[int]bool)}
	c.g = sessionmap.MustNewGroup[int](append(opts, silent)...)
	for i := range c.attributes {
		c.attributes[i] = sessionmap.NewAttribute[*thing](c.g, "", sessionmap.WithOnRemove(c.books[i].left),
			sessionmap.WithCost(func(_ int, v *thing) int64 { return int64(v.number % 50) }))
	}
	c.index = sessionmap.NewIndex(c.attributes[0], func(_ int, v *thing) int { return 1 + v.number%3 })
	c.guard = sessionmap.NewGuard(c.g, &c.mu, c.guarded)
	c.g.OnEnd(func(int, sessionmap.Cause) { c.ended++ })
	return c
}

// began notes that there is a session of key, if ok.
func (c *groupChaos) began(key int, ok bool) (session *[2]int) {
	if c.plain == nil {
		return new([2]int)
	}
	require.True(c.t, ok, "session %d was refused", key)
	if c.plain[key] == nil {
		c.plain[key] = new([2]int)
	}
	return c.plain[key]
}

// value makes a value for attribute i, and returns what notes that a call has taken it.
func (c *groupChaos) value(i int) (v *thing, took func(key int, stored bool)) {
	v = c.books[i].thing()
	return v, func(key int, stored bool) {
		c.books[i].put(v)
		c.began(key, stored)[i] = v.number + 1
	}
}

// there checks whether a call should have found session key.
func (c *groupChaos) there(key int, ok bool) {
	c.t.Helper()
	if c.plain != nil {
		require.Equal(c.t, c.plain[key] != nil, ok, "session %d", key)
	}
}

type groupOp struct {
	name string
	run  func(c *groupChaos, i, key int) // on attribute i and session key
}

var groupOps = []groupOp{
	{"Attribute.Get", func(c *groupChaos, i, key int) { c.attributes[i].Get(key) }},
	{"Attribute.Set", func(c *groupChaos, i, key int) { v, took := c.value(i); took(key, c.attributes[i].Set(key, v)) }},
	{"Attribute.GetOrSet", func(c *groupChaos, i, key int) {
		v, took := c.value(i)
		if _, loaded := c.attributes[i].GetOrSet(key, v); !loaded {
			took(key, true)
		}
	}},
	{"Attribute.Update", func(c *groupChaos, i, key int) {
		v, took := c.value(i)
		outcome, asked := c.pick(3), false
		c.attributes[i].Update(key, func(*thing, bool) (*thing, bool) {
			if asked = true; outcome == 0 {
				panic("update")
			}
			return v, outcome == 1
		})
		if asked && outcome == 1 {
			took(key, true)
		} else if session := c.plain[key]; outcome == 2 && session != nil {
			session[i] = 0
		}
	}},
	{"Attribute.Take", func(c *groupChaos, i, key int) {
		c.attributes[i].Take(key)
		if session := c.plain[key]; session != nil {
			session[i] = 0
		}
	}},
	{"Attribute.Delete", func(c *groupChaos, i, key int) {
		c.attributes[i].Delete(key)
		if session := c.plain[key]; session != nil {
			session[i] = 0
		}
	}},
	{"Attribute.OnRemove", func(c *groupChaos, i, key int) {
		c.undo = append(c.undo, c.attributes[i].OnRemove(func(k int, _ *thing, _ sessionmap.Cause) {
			if k == key {
				panic("callback")
			}
		}))
	}},
	{"Stats", func(c *groupChaos, i, _ int) {
		_, _, _, _ = c.attributes[i].String(), c.attributes[i].LogValue(), c.g.String(), c.g.LogValue()
	}},
	{"Touch", func(c *groupChaos, _, key int) { c.began(key, c.g.Touch(key)) }},
	{"Contains", func(c *groupChaos, _, key int) { c.there(key, c.g.Contains(key)) }},
	{"Delete", func(c *groupChaos, _, key int) { c.there(key, c.g.Delete(key)); delete(c.plain, key) }},
	{"Scope", func(c *groupChaos, _, key int) { c.g.Scope(key)(); delete(c.plain, key) }},
	{"Clear", func(c *groupChaos, _, key int) {
		if key == 0 {
			c.g.Clear()
			clear(c.plain)
		}
	}},
	{"Sweep", func(c *groupChaos, _, _ int) { c.g.Sweep() }},
	{"Sessions", func(c *groupChaos, _, key int) {
		for s := range c.g.Sessions() {
			if c.there(s.ID, true); s.ID >= key {
				break
			}
		}
	}},
	{"Rename", func(c *groupChaos, _, key int) {
		to := c.pick(chaosKeys)
		from, taken := c.plain[key], c.plain[to]
		err := c.g.Rename(key, to)
		require.True(c.t, c.plain == nil || (from != nil && (taken == nil || to == key)) == (err == nil), "%d to %d: %v", key, to, err)
		if err == nil && c.plain != nil {
			delete(c.plain, key)
			c.plain[to] = from
		}
	}},
	{"Acquire", func(c *groupChaos, _, key int) {
		lease, ok := c.g.Acquire(key)
		if c.there(key, ok); ok {
			c.leases = append(c.leases, lease)
		}
	}},
	{"Begin", func(c *groupChaos, _, key int) {
		lease, ok := c.g.Begin(key)
		if c.began(key, ok); ok {
			require.Equal(c.t, lease.Key(), lease.Value().ID())
			c.leases = append(c.leases, lease)
		}
	}},
	{"Release", func(c *groupChaos, _, key int) {
		if n := len(c.leases); n > 0 {
			c.leases[key%n].Release()
			c.leases = slices.Delete(c.leases, key%n, key%n+1)
		}
	}},
	{"Context", func(c *groupChaos, _, key int) { _, ok := c.g.Context(key); c.there(key, ok) }},
	{"BindContext", func(c *groupChaos, i, key int) {
		ctx, cancel := context.WithCancel(c.t.Context())
		defer cancel()
		if i == 0 {
			ctx = c.t.Context() // it stays
		}
		if c.there(key, c.g.BindContext(ctx, key)); i > 0 {
			cancel()
			synctest.Wait()
			delete(c.plain, key)
		}
	}},
	{"Do", func(c *groupChaos, i, key int) {
		v, took := c.value(i)
		err := c.g.Do(c.t.Context(), key, func(_ context.Context, s *sessionmap.Session[int]) error {
			took(key, c.attributes[i].Set(s.ID(), v))
			return nil
		})
		require.True(c.t, c.plain == nil || err == nil, "%v", err)
	}},
	{"Run", func(c *groupChaos, i, key int) {
		v, took := c.value(i)
		func() {
			defer func() { _ = recover() }()
			_ = c.g.Run(c.t.Context(), key, func(context.Context, *sessionmap.Session[int]) error {
				took(key, c.attributes[i].Set(key, v))
				panic("run")
			})
		}()
		delete(c.plain, key)
	}},
	{"Guard.Touch", func(c *groupChaos, _, key int) {
		if ok := c.guard.Touch(key); c.began(key, ok) != nil && ok {
			c.mu.Lock()
			c.guarded[key] = true
			c.mu.Unlock()
		}
	}},
	{"Guard.Adopt", func(c *groupChaos, _, key int) {
		c.mu.Lock()
		c.guarded[key] = true // a stray
		c.mu.Unlock()
		c.guard.Adopt()
		c.began(key, true)
	}},
	{"Index.Of", func(c *groupChaos, i, key int) {
		for id := range c.index.Of(1 + key%3) {
			if c.there(id, true); i == 0 {
				break
			}
		}
	}},
	{"Index.DeleteBy", func(c *groupChaos, i, key int) {
		if i == 0 {
			return
		}
		c.index.DeleteBy(1 + key%3)
		maps.DeleteFunc(c.plain, func(_ int, s *[2]int) bool { return s[0] > 0 && (s[0]-1)%3 == key%3 })
	}},
	{"event", func(c *groupChaos, _, key int) { c.publish(key); delete(c.plain, key) }},
	{"sleep", func(c *groupChaos, _, key int) { time.Sleep(time.Duration(key) * idle / 8) }},
}

func (c *groupChaos) step() {
	op := groupOps[c.pick(len(groupOps))]
	op.run(c, c.pick(2), c.pick(chaosKeys))
}

// check looks at everything.
func (c *groupChaos) check() {
	synctest.Wait()
	c.g.Sweep()
	require.NoError(c.t, sessionmap.CheckGroup(c.g))
	s := c.g.Stats()
	require.Equal(c.t, s.Ended(), c.ended)
	require.Equal(c.t, c.g.Len(), s.Live)
	for i, a := range c.attributes {
		all := maps.Collect(a.All())
		c.books[i].balance(c.t, all, a.Stats())
		for key, v := range all {
			require.True(c.t, c.plain == nil || c.plain[key] != nil && c.plain[key][i] == v.number+1, "session %d: attribute %d is %d", key, i, v.number)
		}
	}
	if c.plain == nil {
		return
	}
	require.Len(c.t, c.plain, c.g.Len())
	var values [2]int
	owned := [3]int{}
	for key, session := range c.plain {
		require.True(c.t, c.g.Contains(key), "session %d", key)
		for i, number := range session {
			if number > 0 {
				values[i]++
			}
		}
		if session[0] > 0 {
			owned[(session[0]-1)%3]++
		}
	}
	require.Equal(c.t, values, [2]int{c.attributes[0].Len(), c.attributes[1].Len()})
	for i, n := range owned {
		require.Equal(c.t, n, c.index.Count(1+i))
	}
}

// rest ends the group and all that goes on in it.
func (c *groupChaos) rest() {
	for _, lease := range c.leases {
		lease.Release()
	}
	for _, undo := range c.undo {
		undo()
	}
	c.check()
	time.Sleep(idle) // until no key is refused for what it was
	c.guard.Adopt()
	require.NoError(c.t, c.g.Close())
	require.Empty(c.t, c.guarded, "the guarded map ends with the sessions")
	clear(c.plain)
	c.check()
}
