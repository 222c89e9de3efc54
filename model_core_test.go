package sessionmap_test

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// What the model of a map and that of a group have in common: lives, which are the entries of a map or the sessions of a group.

// lifeRules are the options that both have. Of what is 0 there is none.
type lifeRules struct {
	eager             bool // sweeps come at the deadline, not after ages
	maxSize           int
	idle, lifetime    time.Duration
	strict            bool
	maxCost           int64
	tombstones, grace time.Duration
}

// options are those of a map or a group with these rules, which the context ends, and which the bus and publish tell of events.
func (r lifeRules) options(ctx context.Context, bus *sessionmap.Bus[int], publish *func(key int, at time.Time)) []sessionmap.Option {
	interval := 1000 * time.Hour
	if r.eager {
		interval = time.Nanosecond
	}
	opts := []sessionmap.Option{
		sessionmap.WithTTL(r.idle), sessionmap.WithMaxLifetime(r.lifetime), sessionmap.WithMaxSize(r.maxSize), sessionmap.WithSweepInterval(interval),
		sessionmap.WithTombstones(r.tombstones), sessionmap.WithRenameGrace(r.grace), sessionmap.WithLeaseWarning(leaseWarning),
		sessionmap.WithContext(ctx), sessionmap.WithLogger(slog.New(slog.DiscardHandler)), sessionmap.WithSessionDeleted(bus),
		sessionmap.WithSessionDeleted(sessionmap.SourceFunc[int](func(deleted func(int, time.Time)) (func(), error) {
			*publish = deleted
			return nil, nil
		})),
	}
	if r.strict {
		opts = append(opts, sessionmap.WithStrictLifetime())
	}
	return opts
}

// A modelLife is an entry or a session, as far as they are the same.
type modelLife struct {
	key               int
	created, accessed time.Time
	named             map[int]time.Time // when it got a key by a rename, the present one or a former
	idle              time.Duration
	leases            int
	ctx               context.Context  // nil if nobody has asked for it
	cancel            func()           // ends the context that it is bound to; nil if there is none
	ended             sessionmap.Cause // 0 while it is in the model
}

func (l *modelLife) life() *modelLife { return l }

// since returns from when on l was called key: an older event means another.
func (l *modelLife) since(key int) time.Time {
	if at := l.named[key]; at.After(l.created) {
		return at
	}
	return l.created
}

func (l *modelLife) rename(key int) {
	if l.named == nil {
		l.named = make(map[int]time.Time)
	}
	l.key, l.named[key] = key, time.Now()
}

// A living is a pointer to what has a modelLife in it.
type living interface {
	comparable
	life() *modelLife
}

// A formerName is a key that has been renamed: to whom it still leads, and since when.
type formerName[E living] struct {
	e  E
	at time.Time
}

// lives are in the order of access, and walked from end to end for everything.
type lives[E living] struct {
	bounds   lifeRules
	closed   bool
	closedAt int // how many steps had been then
	alive    []E // least recently accessed first
	buried   map[int]time.Time
	renamed  map[int]formerName[E]
}

func newLives[E living](bounds lifeRules) lives[E] {
	return lives[E]{bounds: bounds, buried: make(map[int]time.Time), renamed: make(map[int]formerName[E])}
}

func (m *lives[E]) deadline(e E) (at time.Time, cause sessionmap.Cause) {
	l := e.life()
	if l.idle > 0 && l.leases == 0 {
		at, cause = l.accessed.Add(l.idle), sessionmap.Idle
	}
	end := l.created.Add(m.bounds.lifetime)
	if m.bounds.lifetime > 0 && (m.bounds.strict || l.leases == 0) && (cause == 0 || end.Before(at)) {
		at, cause = end, sessionmap.Lifetime
	}
	return at, cause
}

// expired returns the cause with which e is to leave now; 0 if it lives.
func (m *lives[E]) expired(e E) sessionmap.Cause {
	if at, cause := m.deadline(e); cause != 0 && !time.Now().Before(at) {
		return cause
	}
	return 0
}

// expiredAmong returns the expired ones among some.
func (m *lives[E]) expiredAmong(some []E) (expired []E) {
	for _, e := range some {
		if m.expired(e) != 0 {
			expired = append(expired, e)
		}
	}
	return expired
}

// find returns the one of key, be it expired; nil if there is none.
func (m *lives[E]) find(key int) (none E) {
	for _, e := range m.alive {
		if e.life().key == key {
			return e
		}
	}
	return none
}

// live is find for one that is not expired.
func (m *lives[E]) live(key int) (none E) {
	if e := m.find(key); e != none && m.expired(e) == 0 {
		return e
	}
	return none
}

// reach is live, also by a former key.
func (m *lives[E]) reach(key int) (none E) {
	if e := m.live(key); e != none {
		return e
	}
	former, ok := m.renamed[key]
	if !ok || time.Since(former.at) >= m.bounds.grace || former.e.life().ended != 0 || m.expired(former.e) != 0 {
		return none
	}
	return former.e
}

// refuses reports whether key, of which none is live, must not get one.
func (m *lives[E]) refuses(key int) bool {
	at, buried := m.buried[key]
	former, renamed := m.renamed[key]
	return m.closed || buried && time.Since(at) < m.bounds.tombstones || renamed && time.Since(former.at) < m.bounds.grace
}

func (m *lives[E]) bury(key int) {
	if m.bounds.tombstones > 0 && !m.closed {
		m.buried[key] = time.Now()
	}
}

// access does nothing if e is nil.
func (m *lives[E]) access(e E) {
	var none E
	if e != none {
		e.life().accessed = time.Now()
		m.forget(e)
		m.alive = append(m.alive, e)
	}
}

func (m *lives[E]) forget(e E) {
	m.alive = slices.DeleteFunc(m.alive, func(o E) bool { return o == e })
}

// A demand is what a value asks for.
type demand[E living] struct {
	by     E // where it is to be; nil is a new one
	claims []modelClaim[E]
	more   int64         // what it costs, less what it takes the place of
	cost   func(E) int64 // what one costs
}

// admit does to the model what it takes to grant a demand: others give way, of whom giveWay finds out the one that has been
// reported, and ends it. It reports whether the value can be stored; if not, nobody gives way who is not expired.
func (m *lives[E]) admit(d demand[E], giveWay func(why sessionmap.Cause, candidates []E)) (ok bool) {
	var none E
	full := func() bool { return d.by == none && m.bounds.maxSize > 0 && len(m.alive) == m.bounds.maxSize }
	dear := func() bool {
		sum := d.more
		for _, e := range m.alive {
			sum += d.cost(e)
		}
		return m.bounds.maxCost > 0 && d.more > 0 && sum > m.bounds.maxCost
	}

	// Can all be granted, if everybody leaves who may?
	stay := func(o E) bool { return o == d.by || m.leased(o) }
	staying, stays := 0, int64(0)
	for _, o := range m.alive {
		if stay(o) {
			stays += d.cost(o)
			staying++
		}
	}
	if full() && staying == m.bounds.maxSize || dear() && stays+d.more > m.bounds.maxCost {
		return false
	}
	for _, c := range d.claims {
		staying := 0
		for _, o := range c.of(c.owner) {
			if m.expired(o) == 0 && (c.limit == sessionmap.RejectNew || stay(o)) {
				staying++
			}
		}
		if staying >= c.most {
			return false
		}
	}

	// Then they leave one by one: first for the owners' sake.
	for {
		var over []E
		for _, c := range d.claims {
			if owned := c.of(c.owner); len(owned) >= c.most {
				over = append(over, m.first(owned, stay)...)
			}
		}
		switch {
		case len(over) > 0:
			giveWay(sessionmap.Evicted, over)
		case full():
			giveWay(sessionmap.Evicted, m.first(m.alive, stay))
		case dear():
			giveWay(sessionmap.EvictedCost, m.first(m.alive, stay))
		default:
			return true
		}
	}
}

// leased reports whether e stays as long as it is leased.
func (m *lives[E]) leased(e E) bool { return e.life().leases > 0 && m.expired(e) == 0 }

// first returns who among some may be the first to give way: one that is expired or, if there is none, the first of those that
// need not stay.
func (m *lives[E]) first(some []E, stay func(E) bool) []E {
	if expired := m.expiredAmong(some); len(expired) > 0 {
		return expired
	}
	i := slices.IndexFunc(some, func(e E) bool { return !stay(e) })
	return some[i : i+1]
}

// A modelHold is what all leases have.
type modelHold struct {
	since   time.Time
	cleared bool // the map or the group has been, since, and counts it no more
}

func (h *modelHold) hold() *modelHold { return h }

// leaseWarning is after what time a lease is overdue.
const leaseWarning = 15 * time.Second

// count returns how many leases are to be counted, and how many of those are overdue.
func count[L interface{ hold() *modelHold }](leases []L) (held, overdue int) {
	for _, l := range leases {
		if l.hold().cleared {
			continue
		}
		held++
		if time.Since(l.hold().since) >= leaseWarning {
			overdue++
		}
	}
	return held, overdue
}

// forgetAll is what becomes of the leases when the map or the group is cleared or closed.
func forgetAll[L interface{ hold() *modelHold }](leases []L) {
	for _, l := range leases {
		l.hold().cleared = true
	}
}

// A modelIndex is one of entries or sessions.
type modelIndex[E comparable] struct {
	*sessionmap.Index[int, string]
	owner func(number int) string
	limit sessionmap.LimitAction // 0 is none
	most  int
	owned []modelOwned[E] // in the order in which they came to their owners
}

type modelOwned[E comparable] struct {
	e     E
	owner string
}

func (x *modelIndex[E]) ownerOf(e E) string {
	for _, o := range x.owned {
		if o.e == e {
			return o.owner
		}
	}
	return ""
}

// of returns those of owner, the oldest first.
func (x *modelIndex[E]) of(owner string) (all []E) {
	for _, o := range x.owned {
		if o.owner == owner {
			all = append(all, o.e)
		}
	}
	return all
}

// own notes that e belongs to owner.
func (x *modelIndex[E]) own(e E, owner string) {
	if x.ownerOf(e) == owner {
		return
	}
	x.owned = slices.DeleteFunc(x.owned, func(o modelOwned[E]) bool { return o.e == e })
	if owner != "" {
		x.owned = append(x.owned, modelOwned[E]{e, owner})
	}
}

// A modelClaim is one more for an owner whom a limit concerns.
type modelClaim[E comparable] struct {
	*modelIndex[E]
	owner string
}

// claimsOf returns those of a value where e is; nil is a new one.
func claimsOf[E comparable](indexes []*modelIndex[E], e E, number int) (all []modelClaim[E]) {
	var none E
	for _, x := range indexes {
		owner, _ := silently(x.owner, number)
		if x.limit != 0 && owner != "" && (e == none || x.ownerOf(e) != owner) {
			all = append(all, modelClaim[E]{x, owner})
		}
	}
	return all
}

// checkSum: values put in = values present + removals reported.
func checkSum(t require.TestingT, s sessionmap.Stats) {
	sum := uint64(s.Live)
	for _, n := range s.Removals {
		sum += n
	}
	require.Equal(t, s.Sets, sum)
}

// checkClosed checks that the values with a Close are closed, once, that are not present.
func checkClosed(t require.TestingT, states map[int]*modelState, present map[int]bool) {
	for number, state := range states {
		if present[number] {
			require.Zero(t, state.closed)
		} else {
			require.Equal(t, 1, state.closed)
			delete(states, number)
			state.closed = 1000 // and never again
		}
	}
}
