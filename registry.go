package sessionmap

import (
	"cmp"
	"fmt"
	"iter"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// The maps and groups of the process, for those who watch them: metrics, a debug page. The registry holds none of
// them.

var registry roll

// A roll is a list of maps and groups. The zero value is empty.
type roll struct {
	mu     sync.Mutex
	last   uint64                // id given
	all    map[uint64]registered // nil while it is empty, as are the labels: a map does not shrink
	labels labels
}

type registered struct {
	label string
	live  func() instance // returns nil once that has been collected
}

// labels are names that differ.
type labels map[string]bool

// take returns a label that is valid UTF-8, not empty, and no other's: name, where that will do, else with the number.
func (l labels) take(name string, number uint64) string {
	label := strings.ToValidUTF8(name, "\uFFFD")
	for label == "" || l[label] {
		label = fmt.Sprintf("%s#%d", label, number)
	}
	l[label] = true
	return label
}

// An instance is what watchers may ask a map or a group.
type instance interface {
	Stats() Stats
	about() Instance
	attributeStats() []Stats
	sessionInfos(yield func(SessionInfo[any]) bool)
	endAny(id any) bool
}

// An Instance is a live map or group of the process, as those see it who do not know its types. It keeps the
// map from being collected.
type Instance struct {
	ID    uint64 // in the order in which they were made, from 1
	Label string // its name; with its ID, as in "agents#3", if it has none or another had the same when it was made

	Group     bool
	KeyType   string
	ValueType string // of a map

	IdleTimeout time.Duration // 0 is none
	Lifetime    time.Duration // 0 is none

	instance instance
}

// Instances returns an iterator over the maps and groups of the process that are neither closed nor collected, in the
// order of their IDs.
func Instances() iter.Seq[Instance] {
	return func(yield func(Instance) bool) {
		var all []Instance
		registry.mu.Lock()
		for id, r := range registry.all {
			if in := r.live(); in != nil {
				about := in.about()
				about.ID, about.Label, about.instance = id, r.label, in
				all = append(all, about)
			}
		}
		registry.mu.Unlock()
		slices.SortFunc(all, func(a, b Instance) int { return cmp.Compare(a.ID, b.ID) })
		for _, in := range all {
			if !yield(in) {
				return
			}
		}
	}
}

// Stats returns the figures of the map or group.
func (in Instance) Stats() Stats { return in.instance.Stats() }

// Attributes returns the figures of a group's attributes, in the order in which they were added. Their names differ: one
// that has none, or that of an earlier one, has its number in it, as in "history#2".
func (in Instance) Attributes() []Stats { return in.instance.attributeStats() }

// Sessions returns an iterator over the sessions, in no order. It is no access; see [RobustSessionMap.All].
func (in Instance) Sessions() iter.Seq[SessionInfo[any]] { return in.instance.sessionInfos }

// End ends the session of id, with the cause [Deleted], and reports whether there was one.
func (in Instance) End(id any) (ended bool) { return in.instance.endAny(id) }

// enter enters a map or group, which live returns while it is there, until strike is called.
func (r *roll) enter(name string, live func() instance) (id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all, r.labels = make(map[uint64]registered), make(labels)
	}
	r.last++
	r.all[r.last] = registered{r.labels.take(name, r.last), live}
	return r.last
}

func (r *roll) strike(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.labels, r.all[id].label)
	delete(r.all, id)
	if len(r.all) == 0 {
		r.all, r.labels = nil, nil
	}
}

func unregister(id uint64) { registry.strike(id) }

// register enters the map, or its group, for as long as it is there. A map closed meanwhile stays out.
func (m *RobustSessionMap[K, V]) register(live func() instance) {
	id := registry.enter(m.name, live)
	runtime.AddCleanup(m, unregister, id)
	m.mu.Lock()
	m.id = id
	closed := m.closed.Load()
	m.mu.Unlock()
	if closed {
		unregister(id)
	}
}

func (m *RobustSessionMap[K, V]) about() Instance {
	return Instance{
		KeyType: reflect.TypeFor[K]().String(), ValueType: reflect.TypeFor[V]().String(),
		IdleTimeout: time.Duration(m.timeouts.idle), Lifetime: time.Duration(m.timeouts.lifetime),
	}
}

func (m *RobustSessionMap[K, V]) attributeStats() []Stats { return nil }

func (m *RobustSessionMap[K, V]) sessionInfos(yield func(SessionInfo[any]) bool) {
	for e := range m.policy.Load().table.entries() {
		if entry, ok := m.entry(e); ok && !yield(SessionInfo[any]{ID: e.key, Age: time.Since(entry.Created), Entry: entry}) {
			return
		}
	}
}

func (m *RobustSessionMap[K, V]) endAny(id any) bool {
	key, ok := id.(K)
	return (ok || id == nil && reflect.TypeFor[K]().Kind() == reflect.Interface) && m.Delete(key)
}

func (g *Group[K]) about() Instance {
	about := g.sessions.about()
	about.Group, about.ValueType = true, ""
	return about
}

func (g *Group[K]) attributeStats() (all []Stats) {
	names := make(labels)
	for i, a := range g.attributes.all() {
		s := (*a).Stats()
		s.Name = names.take(s.Name, uint64(i+1))
		all = append(all, s)
	}
	return all
}

func (g *Group[K]) sessionInfos(yield func(SessionInfo[any]) bool) {
	for s := range g.Sessions() {
		if !yield(SessionInfo[any]{s.ID, s.Age, s.Attributes, s.Entry}) {
			return
		}
	}
}

func (g *Group[K]) endAny(id any) bool { return g.sessions.endAny(id) }
