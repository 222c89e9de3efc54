package sessionmap_test

import (
	"context"
	"slices"
	"time"

	"github.com/sessionmap/sessionmap"
)

// The model is the contract in its most naive form: a slice in the order of access, walked from end to
// end for everything. Programs run on it and on the map, in fake time.
type model struct {
	modelRules
	closed       bool
	closedAt     int           // how many steps had been then
	entries      []*modelEntry // least recently accessed first
	indexes      []*modelIndex[*modelEntry]
	leases       []*entryLease
	buried       map[int]time.Time
	renamed      map[int]modelName
	failed       map[int]modelFailure
	hits, misses uint64
	sets, panics uint64
	failedCloses uint64
	removals     map[sessionmap.Cause]uint64
	states       map[int]*modelState // the values with a Close that have not been closed
}

// modelRules are the options of a map, and what it begins with. Of what is 0 there is none.
type modelRules struct {
	eager             bool // sweeps come at the deadline, not after ages
	maxSize           int
	idle, lifetime    time.Duration
	strict            bool
	costs             bool
	maxCost           int64
	tombstones, grace time.Duration
	refreshAfter      time.Duration
	loadErrorTTL      time.Duration
	closes            bool
	coarse, pressed   bool // the clock is a coarse one; the heap is looked at
	limits            []sessionmap.LimitAction
}

// Of the rules there are as many as the product of what mapRules picks from. The first gridMapRules of them differ in when
// and why sessions end.
const (
	gridMapRules = 2 * 8 * 4
	allMapRules  = gridMapRules * 2 * 4 * 4 * 3 * 2 * 2 * 3 * 4
)

func mapRules(number int) (r modelRules) {
	pick := picker(number)
	const s = time.Second
	r.eager = pick(2) == 1
	r.maxSize = []int{0, 1, 2, 3, 7, 20, 50, 300}[pick(8)]
	timeouts := [][2]time.Duration{{}, {20 * s, 0}, {0, 45 * s}, {20 * s, 45 * s}}[pick(4)]
	r.idle, r.lifetime = timeouts[0], timeouts[1]
	r.strict = pick(2) == 1
	cost := pick(4)
	r.costs, r.maxCost = cost > 0, []int64{0, 0, 12, 60}[cost]
	window := [][2]time.Duration{{}, {5 * s, 3 * s}, {30 * s, 15 * s}, {0, 10 * s}}[pick(4)]
	r.tombstones, r.grace = window[0], window[1]
	r.refreshAfter = []time.Duration{0, s / 1000, 6 * s}[pick(3)]
	r.loadErrorTTL = []time.Duration{0, 5 * s}[pick(2)]
	r.closes = pick(2) == 1
	looks := pick(3)
	r.coarse, r.pressed = looks == 1, looks == 2
	r.limits = [][]sessionmap.LimitAction{
		nil, {0}, {sessionmap.EndOldest}, {sessionmap.RejectNew, sessionmap.EndOldest},
	}[pick(4)]
	r.strict = r.strict && (r.eager || r.maxCost == 0)
	if r.maxSize == 0 && r.idle == 0 && r.lifetime == 0 { // one of them there must be
		r.costs, r.maxCost = true, 60
	}
	return r
}

type modelEntry struct {
	key, number       int
	version           int // changes with each value
	created, accessed time.Time
	named             time.Time // when it got its key by a rename; the zero time if it did not
	idle              time.Duration
	leases            int
	loaded            bool // its value was not set, but loaded,
	loadedAt          time.Time
	refreshing        bool
	ctx               context.Context  // nil if nobody has asked for it
	cancel            func()           // ends the context that it is bound to; nil if there is none
	ended             sessionmap.Cause // 0 while it is in the map
}

// since returns from when on e was called key: an older event means another.
func (e *modelEntry) since(key int) time.Time {
	if e.key == key && e.named.After(e.created) {
		return e.named
	}
	return e.created
}

// A modelName is a key that has been renamed: to whom it still leads, and since when.
type modelName struct {
	e  *modelEntry
	at time.Time
}

// A modelFailure is how a load has failed.
type modelFailure struct {
	err error
	at  time.Time
}

type entryLease struct {
	mapLease
	value            func() int
	e                *modelEntry
	since            time.Time
	acquired, number int  // of the value then, and the one that it is to tell
	cleared          bool // the map has been, since, and counts it no more
}

// A mapLease is what a lease has whose value is of whatever type.
type mapLease interface {
	Key() int
	Done() <-chan struct{}
	Context() context.Context
	Within(ctx context.Context) (context.Context, func())
	Release()
}

type removal struct {
	key, value int
	cause      sessionmap.Cause
}

func (m *model) deadline(e *modelEntry) (at time.Time, cause sessionmap.Cause) {
	if e.idle > 0 && e.leases == 0 {
		at, cause = e.accessed.Add(e.idle), sessionmap.Idle
	}
	end := e.created.Add(m.lifetime)
	if m.lifetime > 0 && (m.strict || e.leases == 0) && (cause == 0 || end.Before(at)) {
		at, cause = end, sessionmap.Lifetime
	}
	return at, cause
}

// expired returns the cause with which e is to leave now; 0 if it lives.
func (m *model) expired(e *modelEntry) sessionmap.Cause {
	if at, cause := m.deadline(e); cause != 0 && !time.Now().Before(at) {
		return cause
	}
	return 0
}

// expiredAmong returns the expired ones among some entries.
func (m *model) expiredAmong(some []*modelEntry) (expired []*modelEntry) {
	for _, e := range some {
		if m.expired(e) != 0 {
			expired = append(expired, e)
		}
	}
	return expired
}

// find returns the entry of key, be it expired; nil if there is none.
func (m *model) find(key int) *modelEntry {
	for _, e := range m.entries {
		if e.key == key {
			return e
		}
	}
	return nil
}

// live is find for one that is not expired.
func (m *model) live(key int) *modelEntry {
	if e := m.find(key); e != nil && m.expired(e) == 0 {
		return e
	}
	return nil
}

// reach is live, also by the old key of a renamed entry.
func (m *model) reach(key int) *modelEntry {
	if e := m.live(key); e != nil {
		return e
	}
	name, ok := m.renamed[key]
	if !ok || time.Since(name.at) >= m.grace || name.e.ended != 0 || m.expired(name.e) != 0 {
		return nil
	}
	return name.e
}

// refuses reports whether key, which has no live entry, must not get one.
func (m *model) refuses(key int) bool {
	at, buried := m.buried[key]
	name, renamed := m.renamed[key]
	return m.closed || buried && time.Since(at) < m.tombstones || renamed && time.Since(name.at) < m.grace
}

func (m *model) bury(key int) {
	if m.tombstones > 0 && !m.closed {
		m.buried[key] = time.Now()
	}
}

// access does nothing if e is nil.
func (m *model) access(e *modelEntry) {
	if e != nil {
		e.accessed = time.Now()
		m.entries = append(slices.DeleteFunc(m.entries, func(o *modelEntry) bool { return o == e }), e)
	}
}

// costOf returns what a value costs.
func (m *model) costOf(number int) int64 {
	if !m.costs {
		return 0
	}
	cost, _ := silently(numberCost, number)
	return cost
}

func (m *model) cost() (sum int64) {
	for _, e := range m.entries {
		sum += m.costOf(e.number)
	}
	return sum
}

// asked counts the panics of those who are asked what a value asks for.
func (m *model) asked(number int) {
	if m.costs {
		_, panicked := silently(numberCost, number)
		m.panics += panicked
	}
	m.askedOwners(number)
}

func (m *model) askedOwners(number int) {
	for _, x := range m.indexes {
		_, panicked := silently(x.owner, number)
		m.panics += panicked
	}
}

// claims returns those of a value where e is, or of a new entry if that is nil.
func (m *model) claims(e *modelEntry, number int) (all []modelClaim[*modelEntry]) {
	for _, x := range m.indexes {
		owner, _ := silently(x.owner, number)
		if x.limit != 0 && owner != "" && (e == nil || x.ownerOf(e) != owner) {
			all = append(all, modelClaim[*modelEntry]{x, owner})
		}
	}
	return all
}

// store gives e another value.
func (m *model) store(e *modelEntry, number int) {
	e.number, e.loaded = number, false
	e.version++
	for _, x := range m.indexes {
		owner, _ := silently(x.owner, number)
		x.own(e, owner)
	}
	for _, l := range m.leases {
		if l.e == e {
			l.number = number
		}
	}
}
