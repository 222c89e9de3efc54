// Package copied has maps behind atomic pointers, which changed copies replace.
package copied

import (
	"maps"
	"sync/atomic"
)

type registry struct {
	cloned atomic.Pointer[map[string]int]
	looped atomic.Pointer[map[string]int]
	filled atomic.Pointer[map[string]int]
}

func newRegistry() *registry {
	r := new(registry)
	r.cloned.Store(&map[string]int{})
	looped := make(map[string]int)
	r.looped.Store(&looped)
	return r
}

// ---- reported ----

func (r *registry) Clone(clientID string) {
	for {
		old := r.cloned.Load()
		next := map[string]int{}
		if old != nil {
			next = maps.Clone(*old)
		}
		next[clientID] = 1 // want `grows: registry.cloned grows with clientID and nothing removes from it`
		if r.cloned.CompareAndSwap(old, &next) {
			return
		}
	}
}

func (r *registry) Loop(clientID string) {
	next := make(map[string]int)
	for id, n := range *r.looped.Load() {
		next[id] = n
	}
	next[clientID] = 1 // want `grows: registry.looped grows with clientID and nothing removes from it`
	r.looped.Store(&next)
}

func (r *registry) Fill(clientID string) {
	next := make(map[string]int)
	maps.Copy(next, *r.filled.Load())
	next[clientID] = 1 // want `grows: registry.filled grows with clientID and nothing removes from it`
	r.filled.Store(&next)
}

// ---- not reported ----

type kept struct {
	removed  atomic.Pointer[map[string]int]
	filtered atomic.Pointer[map[string]int]
	emptied  atomic.Pointer[map[string]int]
	names    atomic.Pointer[map[string]int]
}

func (k *kept) Add(clientID, name string) {
	removed, filtered, emptied, names := maps.Clone(*k.removed.Load()), maps.Clone(*k.filtered.Load()), maps.Clone(*k.emptied.Load()), maps.Clone(*k.names.Load())
	removed[clientID], filtered[clientID], emptied[clientID], names[name] = 1, 1, 1, 1
	k.removed.Store(&removed)
	k.filtered.Store(&filtered)
	k.emptied.Store(&emptied)
	k.names.Store(&names)
}

func (k *kept) Remove(clientID string) {
	next := maps.Clone(*k.removed.Load())
	delete(next, clientID)
	k.removed.Store(&next)
}

func (k *kept) Filter(clientID string) {
	next := make(map[string]int)
	for id, n := range *k.filtered.Load() {
		if id != clientID {
			next[id] = n
		}
	}
	k.filtered.Store(&next)
}

func (k *kept) Empty() { k.emptied.Store(new(map[string]int)) }
