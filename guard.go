package sessionmap

import (
	"maps"
	"reflect"
	"slices"
	"sync"
)

// A Guard puts a map that exists already under the life of a [Group]: when a session ends, whatever the cause,
// its key is deleted from the map, under the map's own lock, and when it is renamed its value moves to the new one. So
// code that has such maps gets the safety net by added lines: a NewGuard for each map, and a Touch where sessions are
// used. Its reads and writes stay.
//
// A Guard knows of a session from when it is touched, here or by an attribute of the group. Touch first and then
// put the key into the map, and do not put it where Touch is false. Do not hold the map's lock meanwhile: whatever can
// begin or end a session can end others, whose keys are then deleted under it. A key that was put without a Touch, or
// that the end or a rename of its session has just overtaken, is found by Adopt; one under a former id, once that has had
// its grace ([WithRenameGrace]).
type Guard[K comparable] struct {
	group *Group[K]
	keys  func() []K
	stop  func()
}

// guarded is a map as its group sees it.
type guarded[K comparable] struct {
	end  func(id K)                 // takes id out, unless a session of it has begun since
	move func(old K, s *Session[K]) // takes what is under old, unless a session of it has begun since, to where s is now
}

// NewGuard guards m, which mu guards: any sync.Locker, such as a *sync.RWMutex. The keys that are in m are
// adopted. No other lock is held when mu is locked. It panics if mu or m is nil.
func NewGuard[K comparable, V any](g *Group[K], mu sync.Locker, m map[K]V) *Guard[K] {
	if isNil(mu) || m == nil {
		panic("sessionmap: NewGuard: want a lock and a map, got nil")
	}
	keys := func() []K {
		mu.Lock()
		defer mu.Unlock()
		return slices.Collect(maps.Keys(m))
	}
	return newGuard(g, keys, guarded[K]{
		end: func(id K) {
			mu.Lock()
			defer mu.Unlock()
			if !g.sessions.has(id) {
				delete(m, id)
			}
		},
		move: func(old K, s *Session[K]) {
			mu.Lock()
			defer mu.Unlock()
			value, there := m[old]
			if !there || g.sessions.has(old) {
				return
			}
			delete(m, old)
			id, live := g.idOf(s)
			if _, taken := m[id]; live && !taken {
				m[id] = value
			}
		},
	})
}

// NewSyncGuard guards a sync.Map. Keys in it that are no K are left alone. Where another session of the same id begins
// at the very end of one, its value may be taken for the former's, if they are equal or cannot be compared.
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
	take := func(id K) (value any, taken bool) {
		value, there := m.Load(id) // before the look at the sessions
		switch {
		case !there || g.sessions.has(id):
			return nil, false
		case reflect.ValueOf(&value).Elem().Comparable() && value == value:
			return value, m.CompareAndDelete(id, value)
		}
		return m.LoadAndDelete(id)
	}
	return newGuard(g, keys, guarded[K]{
		end: func(id K) { take(id) },
		move: func(old K, s *Session[K]) {
			for value, taken := take(old); taken; value, taken = take(old) { // again if it has been renamed again
				id, live := g.idOf(s)
				if !live {
					return
				}
				m.LoadOrStore(id, value)
				old = id
			}
		},
	})
}

func newGuard[K comparable](g *Group[K], keys func() []K, m guarded[K]) *Guard[K] {
	guard := &Guard[K]{group: g, keys: keys, stop: g.guards.add(m)}
	guard.Adopt()
	return guard
}

// Touch is an access to the session of id, which it begins if there is none; see [Group.Touch]. It is false also by a former
// id of a session ([WithRenameGrace]): what was put under that would be left there at the end.
func (g *Guard[K]) Touch(id K) (stored bool) { return g.group.Touch(id) && g.group.sessions.has(id) }

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

// Stop ends the guard: the map keeps what is in it. An end that is just being reported may still take its session out.
func (g *Guard[K]) Stop() { g.stop() }

// Adopt moves the entries of a plain map in, and returns how many were stored. What is refused, as Set would
// refuse it, is reported as [Rejected]; from is empty afterwards either way. Where a callback ends the goroutine, what has not
// been moved by then stays in from. Nobody else may use from meanwhile.
func (m *RobustSessionMap[K, V]) Adopt(from map[K]V) (stored int) {
	for key, value := range from {
		delete(from, key)
		if m.Set(key, value) {
			stored++
		}
	}
	clear(from) // of keys that are not equal to themselves
	return stored
}
