package sessionmap

import (
	"errors"
	"iter"
	"reflect"
	"sync/atomic"
	"unsafe"
)

// An Attribute is one kind of state of the sessions of a [Group]: the agent of each, or the history of each.
// [NewAttribute] makes one, typically for the whole program. It is safe for concurrent use.
//
// To read or set the attribute of a session is an access to the session. A Get takes no lock and allocates
// nothing, but where [RobustSessionMap.Get] does; nor does a Set, but for the space of the value and, from the eighth
// attribute of a group on, of its place, unless it begins the session, or the attribute has a cost or an index.
type Attribute[K comparable, V any] struct {
	reporter[K, V]
	group *Group[K]
	name  string
	index int // of its slot
	live  atomic.Int64
	rules roster[ownerRule[K, V]]
	cost  costRule[K, V]
}

// attribute is what a group knows of its attributes.
type attribute[K comparable] interface {
	// ended reports the value in box, which was in the attribute's slot at the end of a session.
	ended(id K, box *slotBox, cause Cause)
	Stats() Stats
}

// NewAttribute adds an attribute to a group: NewAttribute[*Agent](g, "agent"). The name is for logs and
// [Stats]. The options may be [WithOnRemove] and [WithCost], with the attribute's types, and [WithCloser], and do what they do
// on a map. Options that make no sense cause a panic, as with [MustNew]. An attribute cannot be removed.
func NewAttribute[V any, K comparable](g *Group[K], name string, opts ...Option) *Attribute[K, V] {
	c := config{name: name, logger: g.sessions.callbacks.logger}
	c.apply(opts, "an option that an Attribute has: WithOnRemove, WithCloser or WithCost", func(name string) bool {
		return name == "WithOnRemove" || name == "WithCloser" || name == "WithCost"
	})
	cost := costOf[K, V](&c)
	hooks := typed[func(K, V, Cause)](&c, "WithOnRemove", c.onRemove)
	c.checkCloser(reflect.TypeFor[V]())
	if err := errors.Join(c.errs...); err != nil {
		panic(err)
	}
	a := &Attribute[K, V]{group: g, name: name, cost: cost}
	a.reporter.init(c)
	a.callbacks.group = g.sessions.callbacks
	for _, fn := range hooks {
		a.hooks.add(fn)
	}
	g.attributes.change(func(all []*attribute[K]) []*attribute[K] {
		a.index = len(all)
		var added attribute[K] = a
		return append(all, &added)
	})
	return a
}

func (a *Attribute[K, V]) box(value V) *slotBox {
	return (*slotBox)(unsafe.Pointer(a.values.box(value)))
}
func (a *Attribute[K, V]) open(box *slotBox) V {
	return a.values.open((*boxed[V])(unsafe.Pointer(box)))
}

// present returns the session of id, after an access to it; nil if there is none.
func (a *Attribute[K, V]) present(id K) *Session[K] {
	m := a.group.sessions
	if hash, ok := m.hash(id); ok {
		if box := m.access(hash, id); box != nil {
			return m.values.open(box)
		}
	}
	return nil
}

// Get returns the attribute of the session of id, and whether it has one.
func (a *Attribute[K, V]) Get(id K) (V, bool) {
	if s := a.present(id); s != nil {
		if box := s.first.find(a.index).value(); box != nil {
			a.counters.lane().hits.Add(1)
			return a.open(box), true
		}
	}
	a.counters.lane().misses.Add(1)
	var none V
	return none, false
}

// Set gives the session of id, which it begins if there is none, the attribute. What was there before is reported
// as [Replaced]. stored is false where the session is refused (see [Group.Touch]), or its owner has too many (see
// [WithOwnerLimit]), or the value costs too much; it is then reported as [Rejected]. To a session that is there it is
// an access all the same.
func (a *Attribute[K, V]) Set(id K, value V) (stored bool) {
	box := a.box(value)
	for {
		s := a.present(id)
		old := a.slot(s).Load()
		if x := a.exchange(id, s, old, box); x != overtaken {
			return x == exchanged
		}
	}
}

// exchange puts box in the place of old in the slot of a session, and reports what came of that; nil is no value, and no
// session one to begin. What the value asks for is granted in the same moment. A value that was overtaken is forgotten.
func (a *Attribute[K, V]) exchange(id K, s *Session[K], old, box *slotBox) (x exchange) {
	if old == endOfAll {
		return overtaken
	}
	begins := s == nil
	if begins {
		s = newSession(id)
	}
	id = s.ID()     // it may have been renamed
	if old == nil { // before the value is there, so that Len is never below 0
		a.live.Add(1)
	}
	var d *demand
	x = exchangeRefused // also where a function of the user's ends the goroutine (runtime.Goexit)
	defer func() { a.settle(x, id, s, d, old, box) }()
	d, ok := a.demands(id, box)
	var left removal[K, *Session[K]]
	switch {
	case !begins && a.slot(s).Load() != old:
		x = overtaken
	case !ok:
	case begins:
		x, left = a.begin(s, box, d)
	case d != nil:
		x, left = a.exchangeDemanding(s, old, box, d)
	case a.slot(s).CompareAndSwap(old, box):
		x = exchanged
	default:
		x = overtaken
	}
	a.group.sessions.reportLeft(left)
	return x
}

// settle reports what an exchange has come to.
func (a *Attribute[K, V]) settle(x exchange, id K, s *Session[K], d *demand, old, box *slotBox) {
	if old == nil && x != exchanged {
		a.live.Add(-1)
	}
	switch {
	case x == exchangeRefused:
		a.reject(id, box, old)
	case x == exchanged:
		defer a.exchanged(id, old, box)
		if d.outdated(len(a.rules.all())) {
			a.adopt(id, s)
		}
	}
}

// exchanged reports that the value in box has taken the place of the one in old.
func (a *Attribute[K, V]) exchanged(id K, old, box *slotBox) {
	switch {
	case box == nil:
		a.ended(id, old, Deleted)
	case old == nil:
		a.counters.inserts.Add(1)
	default:
		a.replaced(id, (*boxed[V])(unsafe.Pointer(old)), (*boxed[V])(unsafe.Pointer(box)))
	}
}

// begin begins a session that has the attribute.
func (a *Attribute[K, V]) begin(s *Session[K], box *slotBox, d *demand) (exchange, removal[K, *Session[K]]) {
	m, id := a.group.sessions, s.ID()
	a.slot(s).Store(box)
	present, added, left := m.tryInsert(id, m.values.box(s), d, nil)
	switch {
	case added != nil:
		return exchanged, left
	case present != nil:
		return overtaken, left
	}
	a.slot(s).Store(nil)
	m.reject(id, s, nil)
	return exchangeRefused, left
}

// slot returns the attribute's slot in s, which it makes if there is none yet; an empty one if there is no session.
func (a *Attribute[K, V]) slot(s *Session[K]) *slot {
	if s == nil {
		return new(slot)
	}
	return s.first.at(a.index)
}

// demands returns what the value in box, or none if box is nil, asks for. It is false where that can never be granted.
func (a *Attribute[K, V]) demands(id K, box *slotBox) (d *demand, ok bool) {
	rules := a.rules.all()
	if len(rules) == 0 && a.cost == nil {
		return nil, true
	}
	if box == nil {
		return &demand{claims: noClaims(rules), number: a.index}, true
	}
	return demands(rules, a.cost, a.callbacks, a.index, id, a.open(box))
}

func (a *Attribute[K, V]) exchangeDemanding(s *Session[K], old, box *slotBox, d *demand) (exchange, removal[K, *Session[K]]) {
	m, slot := a.group.sessions, a.slot(s)
	session := m.values.box(s)
	return m.change(s.ID(), d, func(e *entry[K, *Session[K]]) bool {
		return e.value.Load() == session && slot.Load() == old
	}, func(*policy[K, *Session[K]], int64) bool {
		return slot.CompareAndSwap(old, box)
	})
}

// reject reports the value in box, which was not stored. One that is there all the same, in present, is not closed; nil is
// whatever the session of id has now.
func (a *Attribute[K, V]) reject(id K, box, present *slotBox) {
	if present == nil && a.closer != nil {
		if s, ok := a.group.sessions.Peek(id); ok {
			present = s.first.find(a.index).value()
		}
	}
	a.reporter.reject(id, a.open(box), (*boxed[V])(unsafe.Pointer(present)))
}

// GetOrSet returns the attribute of the session of id if it has one, and else sets value. The loaded result
// reports whether it had one. Where the session is refused it returns value with loaded false, after reporting
// it as [Rejected].
func (a *Attribute[K, V]) GetOrSet(id K, value V) (actual V, loaded bool) {
	box := a.box(value)
	for {
		s := a.present(id)
		if old := a.slot(s).value(); old != nil {
			a.counters.lane().hits.Add(1)
			return a.open(old), true
		}
		if a.exchange(id, s, nil, box) != overtaken {
			a.counters.lane().misses.Add(1)
			return value, false
		}
	}
}

// Update replaces the attribute of the session of id by what fn makes of it, atomically, as
// [RobustSessionMap.Update] does: keep false removes the attribute, and the session stays. It is an access to a session that
// is there in any case. fn may run more than
// once, so one that appends should leave the old slice alone: append(slices.Clip(old), x).
func (a *Attribute[K, V]) Update(id K, fn func(old V, ok bool) (value V, keep bool)) (V, bool) {
	var none V
	for !a.group.sessions.closed.Load() {
		s := a.present(id)
		var box *slotBox
		if s != nil {
			box = s.first.find(a.index).value()
		}
		var old, value V
		var keep bool
		if box != nil {
			old = a.open(box)
		}
		if !a.callbacks.run("Update", func() { value, keep = fn(old, box != nil) }) {
			return old, box != nil
		}
		if !keep && box == nil {
			return none, false
		}
		var next *slotBox
		if keep {
			next = a.box(value)
		}
		switch x := a.exchange(id, s, box, next); {
		case x == overtaken:
		case x == exchangeRefused:
			return old, box != nil
		case keep:
			return value, true
		default:
			return none, false
		}
	}
	return none, false
}

// Take removes the attribute of the session of id, with the cause [Deleted], and returns it. The session stays;
// it is no access to it.
func (a *Attribute[K, V]) Take(id K) (V, bool) {
	m := a.group.sessions
	for {
		_, session := m.peek(id)
		if session == nil {
			break
		}
		s := m.values.open(session)
		box := s.first.find(a.index).value()
		if box == nil {
			break
		}
		if a.exchange(id, s, box, nil) != overtaken {
			return a.open(box), true
		}
	}
	var none V
	return none, false
}

// Delete is Take for those who do not want the value.
func (a *Attribute[K, V]) Delete(id K) bool {
	_, ok := a.Take(id)
	return ok
}

// ended reports the value in box, which is no longer in its slot.
func (a *Attribute[K, V]) ended(id K, box *slotBox, cause Cause) {
	a.live.Add(-1)
	a.reportOne(removal[K, V]{key: id, value: a.open(box), cause: cause})
}

// OnRemove calls fn for every value of the attribute that leaves from now on, until cancel is called: with the
// cause of its session's end, or its own. See [RobustSessionMap.OnRemove].
func (a *Attribute[K, V]) OnRemove(fn func(id K, value V, cause Cause)) (cancel func()) {
	if fn == nil {
		return func() {}
	}
	return a.hooks.add(fn)
}

// All returns an iterator over the attributes of all sessions that have one; see [RobustSessionMap.All].
func (a *Attribute[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for id, s := range a.group.sessions.All() {
			if box := s.first.find(a.index).value(); box != nil && !yield(id, a.open(box)) {
				return
			}
		}
	}
}

// Len returns how many sessions have the attribute, expired ones that no sweep has met included. It takes no lock.
func (a *Attribute[K, V]) Len() int { return int(a.live.Load()) }

// Stats returns the figures of the attribute's values. Its Live, Sets and Removals fit each other as a map's do.
// It is no access, and takes the map's lock for a moment.
func (a *Attribute[K, V]) Stats() Stats {
	s := a.counters.stats()
	s.Name, s.Live, s.CallbackPanics = a.name, a.Len(), a.callbacks.panics.Load()
	m := a.group.sessions
	m.mu.Lock()
	defer m.mu.Unlock()
	if costs := m.policy.Load().costs; a.index < len(costs) {
		s.Cost = costs[a.index]
	}
	return s
}
