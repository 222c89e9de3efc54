package sessionmap

import (
	"maps"
	"slices"
	"sync"
)

// A Guard puts a map that exists already under the life of a [Group]: when a session ends, whatever the cause,
// its key is deleted from the map, under the map's own lock. So code that has such maps gets the safety net
// by added lines: a NewGuard for each map, and a Touch where sessions are used. Its reads and writes stay.
//
// A Guard knows of a session from when it is touched, here or by an attribute of the group. Touch first and then
// put the key into the map, and do not put it where Touch is false. A key that was put without a Touch, or that the
// end of its session has just overtaken, is found by Adopt.
type Guard[K comparable] struct {
	group *Group[K]
	keys  func() []K
	stop  func()
}

// NewGuard guards m, which mu guards: any sync.Locker, such as a *sync.RWMutex. The keys that are in m are
// adopted. No other lock is held when mu is locked; sessions must not be ended by anybody who holds mu. It
// panics if mu or m is nil.
func NewGuard[K comparable, V any](g *Group[K], mu sync.Locker, m map[K]V) *Guard[K] {
	if isNil(mu) || m == nil {
		panic("sessionmap: NewGuard: want a lock and a map, got nil")
	}
	keys := func() []K {
		mu.Lock()
		defer mu.Unlock()
		return slices.Collect(maps.Keys(m))
	}
	return newGuard(g, keys, func(id K) {
		mu.Lock()
		defer mu.Unlock()
		delete(m, id)
	})
}

// NewSyncGuard guards a sync.Map. Keys in it that are no K are left alone.
func NewSyncGuard[K comparable](g *Group[K], m *sync.Map) *Guard[K] {
	if m == nil {
		panic("sessionmap: NewSyncGuard: want a map, got nil")
	}
	keys := func() (all []K) {
		for key := range m.Range {
			if id, ok := key.(K); ok {
				all = append(all, id)
			}
		}
		return all
	}
	return newGuard(g, keys, func(id K) { m.Delete(id) })
}

func newGuard[K comparable](g *Group[K], keys func() []K, del func(K)) *Guard[K] {
	guard := &Guard[K]{group: g, keys: keys}
	guard.stop = g.guards.add(func(id K) {
		if !g.Contains(id) { // else the key is that of another session, which has begun since
			del(id)
		}
	})
	guard.Adopt()
	return guard
}

// Touch is an access to the session of id, which it begins if there is none; see [Group.Touch].
func (g *Guard[K]) Touch(id K) (stored bool) { return g.group.Touch(id) }

// Adopt begins sessions for the keys of the map that have none, and returns how many. Those that have one are
// not touched. Where there are more than the group may hold, the first adopted give way, and leave the map.
// It holds the map's lock while it collects the keys.
func (g *Guard[K]) Adopt() (adopted int) {
	for _, id := range g.keys() {
		if !g.group.Contains(id) && g.group.Touch(id) {
			adopted++
		}
	}
	return adopted
}

// Stop ends the guard: the map keeps what is in it.
func (g *Guard[K]) Stop() { g.stop() }

// Adopt moves the entries of a plain map in, and returns how many were stored. What is refused, as Set would
// refuse it, is reported as [Rejected]; from is empty afterwards either way.
func (m *RobustSessionMap[K, V]) Adopt(from map[K]V) (stored int) {
	for key, value := range from {
		if m.Set(key, value) {
			stored++
		}
	}
	clear(from)
	return stored
}
