package sessionmap

import (
	"cmp"
	"container/list"
	"errors"
	"iter"
	"reflect"
	"slices"
	"sync"
)

// An Index knows the sessions by whom they belong to: the sessions of one user, or of one tenant. The map keeps it
// itself, at the very moment at which a session comes, goes or changes hands, so that it is exact, and can
// neither be forgotten nor leak. [NewIndex] makes one. It is safe for concurrent use; its methods take the map's
// lock for a moment.
type Index[K, O comparable] struct {
	number int // of its rule
	in     indexedMap[K]
}

// Indexed is what can have an [Index]: a [RobustSessionMap], or an [Attribute] of a [Group].
type Indexed[K comparable, V any] interface {
	// addRule has the map keep an index by a new rule.
	addRule(rule *ownerRule[K, V]) indexedMap[K]
}

// indexedMap is what an Index needs of its map.
type indexedMap[K comparable] interface {
	owned(number int, owner any) iter.Seq[*ties]
	countOwned(number int, owner any) int
	endTied(t *ties, cause Cause, still func() bool) bool
	liveKey(t *ties, still func() bool) (key K, ok bool)
}

// An ownerRule says to whom a session belongs by its value.
type ownerRule[K comparable, V any] struct {
	owner func(id K, value V) any // nil is nobody
	limits
}

type limits struct {
	number int // of the index, in the map that keeps it
	most   int // of an owner's sessions; 0 is no limit
	action LimitAction
}

// A LimitAction is what happens when an owner has as many sessions as [WithOwnerLimit] allows and one more comes.
type LimitAction int

// The actions.
const (
	EndOldest LimitAction = iota + 1 // the first in Of that is not leased ends, with the cause Evicted
	RejectNew                        // the new one is refused, as is one more where all are leased
)

// A claim says that a session belongs to somebody by one rule; nil is nobody.
type claim struct {
	*limits
	owner any
}

// NewIndex adds an index to a map, or to an attribute and so to the sessions of its group. owner says to whom a
// session belongs; the zero value of O is nobody. It is asked whenever the value is set, with no lock held, and
// not when the session is renamed. An option may be [WithOwnerLimit]; others cause a panic, as with [MustNew].
//
// Sessions that are there already are taken in without regard to the limit: where that leaves an owner with too many, the
// owner's next session ends as many as it takes. In [Index.Of] they may come after those that are set meanwhile. An owner
// that cannot be found again, a NaN or what cannot be hashed, counts as a panic in owner does: the session is nobody's.
// With an index every Set takes the map's lock and, of an owner at the limit, looks at all of the owner's sessions under
// it: an expired one gives way before a live one. An index cannot be removed.
func NewIndex[O, K comparable, V any](in Indexed[K, V], owner func(id K, value V) O, opts ...Option) *Index[K, O] {
	var c config
	c.apply(opts, "an option that an Index has: WithOwnerLimit", func(name string) bool { return name == "WithOwnerLimit" })
	if owner == nil {
		c.refuse("NewIndex", nil, "a function that tells the owner")
	}
	if err := errors.Join(c.errs...); err != nil {
		panic(err)
	}
	var nobody O
	dynamic := hasInterface(reflect.TypeFor[O]())
	rule := &ownerRule[K, V]{limits: limits{most: c.ownerLimit, action: c.ownerAction}}
	rule.owner = func(id K, value V) any {
		o := owner(id, value)
		if dynamic && !hashable(o) || o != o {
			panic("sessionmap: NewIndex: an owner that cannot be found again")
		}
		if o == nobody {
			return nil
		}
		return o
	}
	m := in.addRule(rule)
	return &Index[K, O]{number: rule.number, in: m}
}

// Of returns an iterator over the ids of the sessions of owner, first those that have been the owner's for longest; those
// that were there before the index are in the order of their age. It is no access, and holds no lock while the loop runs.
// A session that comes during the loop may or may not be yielded.
func (x *Index[K, O]) Of(owner O) iter.Seq[K] {
	return func(yield func(K) bool) {
		for t := range x.in.owned(x.number, owner) {
			if key, ok := x.in.liveKey(t, x.owns(t, owner)); ok && !yield(key) {
				return
			}
		}
	}
}

// Count returns how many sessions owner has, expired ones that no sweep has met included.
func (x *Index[K, O]) Count(owner O) int { return x.in.countOwned(x.number, owner) }

// DeleteBy ends all sessions that owner has, with the cause [Deleted], and returns how many. It logs a user out
// everywhere. One that comes meanwhile may be left.
func (x *Index[K, O]) DeleteBy(owner O) (ended int) {
	for t := range x.in.owned(x.number, owner) {
		if x.in.endTied(t, Deleted, x.owns(t, owner)) {
			ended++
		}
	}
	return ended
}

// owns returns a function that tells, with the map's lock held, whether a session is still the owner's.
func (x *Index[K, O]) owns(t *ties, owner O) func() bool {
	return func() bool { return t.owned[x.number].owner == any(owner) }
}

// owners are the sessions of a policy by owner, for one index. Guarded by the map's lock.
type owners struct {
	lists sync.Map // owner to *list.List of *ties, the oldest first; a sync.Map, for it shrinks as they go
}

func (o *owners) list(owner any) *list.List {
	if l, ok := o.lists.Load(owner); ok {
		return l.(*list.List)
	}
	return nil
}

// An owned is a place in an owner's list.
type owned struct {
	owner any
	elem  *list.Element
}

// own puts e where the claims say.
func (p *policy[K, V]) own(e *entry[K, V], claims []claim) {
	if len(claims) == 0 {
		return
	}
	t := p.tie(e)
	for _, c := range claims {
		for len(t.owned) <= c.number {
			t.owned = append(t.owned, owned{})
		}
		if t.owned[c.number].owner == c.owner {
			continue // it keeps its place
		}
		p.disown(t, c.number)
		if c.owner == nil {
			continue
		}
		o := p.owners[c.number]
		l := o.list(c.owner)
		if l == nil {
			l = list.New()
			o.lists.Store(c.owner, l)
		}
		t.owned[c.number] = owned{c.owner, l.PushBack(t)}
	}
}

// disown takes an entry off its owner's list in one index.
func (p *policy[K, V]) disown(t *ties, number int) {
	was := t.owned[number]
	if was.elem == nil {
		return
	}
	l := p.owners[number].list(was.owner)
	if l.Remove(was.elem); l.Len() == 0 {
		p.owners[number].lists.Delete(was.owner)
	}
	t.owned[number] = owned{}
}

// outgrown returns an entry that has to give way because e, or a new entry if e is nil, will belong to an owner who
// has as many as the limit allows: an expired one or, if there is none, the oldest; nil if none has to. It is not
// allowed where an owner's limit refuses.
func (p *policy[K, V]) outgrown(e *entry[K, V], d *demand, now int64) (gives *entry[K, V], allowed bool) {
	if d == nil {
		return nil, true
	}
	for _, c := range d.claims {
		if c.most == 0 || c.owner == nil {
			continue
		}
		l := p.owners[c.number].list(c.owner)
		if l == nil || l.Len() < c.most || e != nil && p.ownerOf(e, c.number) == c.owner {
			continue
		}
		oldest, expired := p.oldestUnleased(l, now)
		if oldest == nil || c.action == RejectNew && !expired {
			return nil, false
		}
		gives = oldest
	}
	return gives, true
}

// oldestUnleased returns an entry of the list that is expired or, if there is none, the oldest that is not leased.
func (p *policy[K, V]) oldestUnleased(l *list.List, now int64) (oldest *entry[K, V], expired bool) {
	for elem := l.Front(); elem != nil; elem = elem.Next() {
		t := elem.Value.(*ties)
		e := t.entry.(*entry[K, V])
		if !e.live(now, p.timeouts) {
			return e, true
		}
		if oldest == nil && t.leases.Load() == 0 {
			oldest = e
		}
	}
	return oldest, false
}

func (p *policy[K, V]) ownerOf(e *entry[K, V], number int) any {
	if t := e.ties(); t != nil && number < len(t.owned) {
		return t.owned[number].owner
	}
	return nil
}

// claims asks the rules to whom a session with this value belongs. The lock must not be held.
func claims[K comparable, V any](rules []*ownerRule[K, V], callbacks *callbacks, id K, value V) []claim {
	var all []claim
	for _, rule := range rules {
		c := claim{limits: &rule.limits}
		callbacks.run("NewIndex", func() { c.owner = rule.owner(id, value) })
		all = append(all, c)
	}
	return all
}

// noClaims are those of no value.
func noClaims[K comparable, V any](rules []*ownerRule[K, V]) []claim {
	var all []claim
	for _, rule := range rules {
		all = append(all, claim{limits: &rule.limits})
	}
	return all
}

// newRule gives an index its number, and its place in the policy.
func (m *RobustSessionMap[K, V]) newRule(l *limits) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.number = m.indexes
	m.indexes++
	p := m.policy.Load()
	p.owners = append(slices.Clip(p.owners), new(owners))
}

func (m *RobustSessionMap[K, V]) addRule(rule *ownerRule[K, V]) indexedMap[K] {
	m.newRule(&rule.limits)
	m.rules.add(*rule)
	for _, e := range m.byAge() {
		m.adopt(e)
	}
	return m
}

// byAge returns all entries, the oldest first.
func (m *RobustSessionMap[K, V]) byAge() []*entry[K, V] {
	return slices.SortedFunc(m.stayers(), func(a, b *entry[K, V]) int { return cmp.Compare(a.created, b.created) })
}

// adopt puts an entry, or what it has been renamed to, where it belongs by its value. Whoever has set another one meanwhile
// sees to that.
func (m *RobustSessionMap[K, V]) adopt(e *entry[K, V]) {
	for was := (*entry[K, V])(nil); e != nil && e != was; { // again if it has been renamed
		was = e
		m.mu.Lock()
		granted := e.granted(0)
		m.mu.Unlock()
		box := m.valueOf(e)
		var claimed []claim
		if box != nil {
			claimed = claims(m.rules.all(), m.callbacks, e.key, m.values.open(box))
		}
		m.mu.Lock()
		p := m.policy.Load()
		if e = p.current(e); e == was && box != nil && e.value.Load() == box && e.granted(0) == granted {
			p.own(e, claimed)
		}
		m.mu.Unlock()
	}
}

func (m *RobustSessionMap[K, V]) owned(number int, owner any) iter.Seq[*ties] {
	p := m.policy.Load()
	return func(yield func(*ties) bool) {
		if !hashable(owner) {
			return // nobody's, as NewIndex has it
		}
		for elem := range m.walk(func() *list.List { return p.owners[number].list(owner) }, func(elem *list.Element) bool {
			return elem.Value.(*ties).owned[number].elem == elem
		}) {
			if !yield(elem.Value.(*ties)) {
				return
			}
		}
	}
}

// walk yields the elements of a list that changes under the lock, which it takes for a piece at a time. listed tells
// whether an element that was in the list still is. Of those that come meanwhile it yields as many as have gone.
func (m *RobustSessionMap[K, V]) walk(in func() *list.List, listed func(*list.Element) bool) iter.Seq[*list.Element] {
	return func(yield func(*list.Element) bool) {
		var met []*list.Element
		for left, first := 0, true; first || left > 0; first = false {
			m.mu.Lock()
			for n := 1; len(met) > 0 && !listed(met[len(met)-1]); n++ {
				met = met[:len(met)-1]
				if n%sweepBatch == 0 { // others first
					m.mu.Unlock()
					m.mu.Lock()
				}
			}
			l := in()
			if l == nil {
				l = new(list.List)
			}
			if first {
				left = l.Len()
			}
			next := l.Front()
			if n := len(met); n > 0 {
				next = met[n-1].Next()
			}
			before := len(met)
			for ; next != nil && len(met)-before < min(left, sweepBatch); next = next.Next() {
				met = append(met, next)
			}
			m.mu.Unlock()
			piece := met[before:]
			if len(piece) == 0 {
				return
			}
			left -= len(piece)
			for _, elem := range piece {
				if !yield(elem) {
					return
				}
			}
		}
	}
}

func (m *RobustSessionMap[K, V]) countOwned(number int, owner any) int {
	if !hashable(owner) {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.policy.Load().owners[number].list(owner); l != nil {
		return l.Len()
	}
	return 0
}

func (m *RobustSessionMap[K, V]) liveKey(t *ties, still func() bool) (key K, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := t.entry.(*entry[K, V])
	return e.key, still() && e.live(m.clock.exact(), m.timeouts)
}

func (a *Attribute[K, V]) addRule(rule *ownerRule[K, V]) indexedMap[K] {
	m := a.group.sessions
	m.newRule(&rule.limits)
	a.rules.add(*rule)
	for _, e := range m.byAge() {
		if e, box := m.present(e); box != nil {
			a.adopt(e.key, m.values.open(box))
		}
	}
	return m
}

// adopt puts a session where it belongs by its attribute. Whoever has set another value meanwhile sees to that.
func (a *Attribute[K, V]) adopt(id K, s *Session[K]) {
	m := a.group.sessions
	m.mu.Lock()
	granted := a.group.entryOf(s).granted(a.index)
	m.mu.Unlock()
	box, claimed := s.first.find(a.index).value(), noClaims(a.rules.all())
	if box != nil {
		claimed = claims(a.rules.all(), a.callbacks, id, a.open(box))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e := a.group.entryOf(s)
	nothing := e == nil || box == nil && e.ties() == nil // is there that could be owned
	if !nothing && s.first.find(a.index).value() == box && e.granted(a.index) == granted {
		m.policy.Load().own(e, claimed)
	}
}
