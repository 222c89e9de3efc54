package sessionmap_test

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/sessionmap/sessionmap"
)

// The model of a group is the contract in its most naive form: a slice of sessions in the order of access, walked from
// end to end for everything. Programs run on it and on the group, in fake time.
type groupModel struct {
	groupRules
	closed     bool
	closedAt   int             // how many steps had been then
	sessions   []*modelSession // least recently accessed first
	attributes []*modelAttribute
	leases     []*modelLease
	buried     map[int]time.Time
	renamed    map[int]formerID
	guarded    map[int]int // what has to be in the guarded maps
	sets       uint64      // of sessions, as are
	removals   map[sessionmap.Cause]uint64
	contexts   []*modelSession     // that have one
	states     map[int]*modelState // the values with a Close that have not been closed
}

// groupRules are the options of a group, and what it begins with. Of what is 0 there is none.
type groupRules struct {
	eager             bool // sweeps come at the deadline, not after ages
	maxSize           int
	idle, lifetime    time.Duration
	strict            bool
	maxCost           int64
	tombstones, grace time.Duration
	attributes        int
	limits            []sessionmap.LimitAction // of the indexes on the first attribute
}

// Of the rules there are as many as the product of what rulesOf picks from. The first gridRules of them differ in when
// and why sessions end.
const (
	gridRules = 2 * 4 * 4
	allRules  = gridRules * 2 * 3 * 4 * 2 * 4
)

func rulesOf(number int) (r groupRules) {
	pick := picker(number)
	const s = time.Second
	windows := [][2]time.Duration{{}, {5 * s, 3 * s}, {30 * s, 15 * s}, {0, 10 * s}}
	limits := [][]sessionmap.LimitAction{
		nil, {sessionmap.EndOldest}, {sessionmap.RejectNew}, {sessionmap.EndOldest, sessionmap.EndOldest},
	}
	r.eager = pick(2) == 1
	r.maxSize = []int{0, 1, 3, 20}[pick(4)]
	timeouts := [][2]time.Duration{{20 * s, 0}, {0, 45 * s}, {20 * s, 45 * s}, {}}[pick(4)]
	r.idle, r.lifetime = timeouts[0], timeouts[1]
	r.strict = pick(2) == 1
	r.maxCost = []int64{0, 12, 40}[pick(3)]
	window := windows[pick(4)]
	r.tombstones, r.grace = window[0], window[1]
	r.attributes = []int{3, 9}[pick(2)]
	r.limits = limits[pick(4)]
	r.strict = r.strict && (r.eager || r.maxCost == 0)
	if r.maxSize == 0 && r.idle == 0 && r.lifetime == 0 { // one of them there must be; the cost is met sooner
		r.maxSize, r.maxCost = 1000, max(r.maxCost, 12)
	}
	return r
}

type modelSession struct {
	id                int
	created, accessed time.Time
	named             time.Time // when it got its id by a rename; the zero time if it did not
	values            map[*modelAttribute]int
	leases            int
	ctx               context.Context  // nil if nobody has asked for it
	cancel            func()           // ends the context that it is bound to; nil if there is none
	ended             sessionmap.Cause // 0 while it is in the group
}

// since returns from when on s was called id: an older event means another.
func (s *modelSession) since(id int) time.Time {
	if s.id == id && s.named.After(s.created) {
		return s.named
	}
	return s.created
}

// A formerID is one that has been renamed: to which session it still leads, and since when.
type formerID struct {
	s  *modelSession
	at time.Time
}

type modelLease struct {
	*sessionmap.Lease[int, *sessionmap.Session[int]]
	s       *modelSession
	since   time.Time
	cleared bool // the group has been, since, and counts it no more
}

type modelAttribute struct {
	numbered
	name                                     string
	costs                                    bool
	indexes                                  []*modelIndex[*modelSession]
	hits, misses, sets, panics, failedCloses uint64
	removals                                 map[sessionmap.Cause]uint64
}

func (a *modelAttribute) String() string { return a.name }

// A modelIndex is one of sessions S.
type modelIndex[S comparable] struct {
	*sessionmap.Index[int, string]
	owner func(number int) string
	limit sessionmap.LimitAction // 0 is none
	most  int
	owned []modelOwned[S] // in the order in which they came to their owners
}

type modelOwned[S comparable] struct {
	s     S
	owner string
}

// A value is a number, of which the lowest byte decides what it costs and to whom its session belongs; the rest makes
// it unique. These are the kinds of values that are out of the ordinary.
const (
	negativeCost = 253 + iota
	panickingCost
	panickingOwner
)

func numberCost(number int) int64 {
	switch kind := number % 256; kind {
	case negativeCost:
		return -1
	case panickingCost:
		panic("cost")
	default:
		return int64(kind / 8 % 6)
	}
}

// numberOwner returns the function that tells the owners of an index, who are as many as two more than its rank.
func numberOwner(rank int) func(number int) string {
	return func(number int) string {
		switch kind := number % 256; {
		case kind == panickingOwner:
			panic("owner")
		case kind%8 == 0:
			return "" // nobody
		default:
			return strconv.Itoa(kind / (1 + rank) % (2 + rank))
		}
	}
}

// silently returns what fn does, or the zero value if it panics, and how often it has.
func silently[T any](fn func(int) T, number int) (result T, panicked uint64) {
	defer func() {
		if recover() != nil {
			panicked = 1
		}
	}()
	return fn(number), 0
}

// cost returns what a value costs in a.
func (a *modelAttribute) cost(number int) int64 {
	if !a.costs || number == 0 {
		return 0
	}
	cost, _ := silently(numberCost, number)
	return cost
}

// asked counts the panics of those who are asked what a value asks for.
func (a *modelAttribute) asked(number int) {
	a.askedOwner(number)
	if a.costs {
		_, panicked := silently(numberCost, number)
		a.panics += panicked
	}
}

func (a *modelAttribute) askedOwner(number int) {
	for _, x := range a.indexes {
		_, panicked := silently(x.owner, number)
		a.panics += panicked
	}
}

func (x *modelIndex[S]) ownerOf(s S) string {
	for _, o := range x.owned {
		if o.s == s {
			return o.owner
		}
	}
	return ""
}

// of returns the sessions of owner, the oldest first.
func (x *modelIndex[S]) of(owner string) (all []S) {
	for _, o := range x.owned {
		if o.owner == owner {
			all = append(all, o.s)
		}
	}
	return all
}

// own notes that s belongs to owner.
func (x *modelIndex[S]) own(s S, owner string) {
	if x.ownerOf(s) == owner {
		return
	}
	x.owned = slices.DeleteFunc(x.owned, func(o modelOwned[S]) bool { return o.s == s })
	if owner != "" {
		x.owned = append(x.owned, modelOwned[S]{s, owner})
	}
}

// store gives s a value of a, 0 being none.
func (a *modelAttribute) store(s *modelSession, number int) {
	if s.values[a] = number; number == 0 {
		delete(s.values, a)
	}
	for _, x := range a.indexes {
		owner := ""
		if number != 0 {
			owner, _ = silently(x.owner, number)
		}
		x.own(s, owner)
	}
}

func (s *modelSession) cost() (sum int64) {
	for a, number := range s.values {
		sum += a.cost(number)
	}
	return sum
}

func (m *groupModel) cost() (sum int64) {
	for _, s := range m.sessions {
		sum += s.cost()
	}
	return sum
}

func (m *groupModel) deadline(s *modelSession) (at time.Time, cause sessionmap.Cause) {
	if m.idle > 0 && s.leases == 0 {
		at, cause = s.accessed.Add(m.idle), sessionmap.Idle
	}
	end := s.created.Add(m.lifetime)
	if m.lifetime > 0 && (m.strict || s.leases == 0) && (cause == 0 || end.Before(at)) {
		at, cause = end, sessionmap.Lifetime
	}
	return at, cause
}

// expired returns the cause with which s is to leave now; 0 if it lives.
func (m *groupModel) expired(s *modelSession) sessionmap.Cause {
	if at, cause := m.deadline(s); cause != 0 && !time.Now().Before(at) {
		return cause
	}
	return 0
}

// expiredAmong returns the expired ones among some sessions.
func (m *groupModel) expiredAmong(some []*modelSession) (expired []*modelSession) {
	for _, s := range some {
		if m.expired(s) != 0 {
			expired = append(expired, s)
		}
	}
	return expired
}

// find returns the session of id, be it expired; nil if there is none.
func (m *groupModel) find(id int) *modelSession {
	for _, s := range m.sessions {
		if s.id == id {
			return s
		}
	}
	return nil
}

// live is find for one that is not expired.
func (m *groupModel) live(id int) *modelSession {
	if s := m.find(id); s != nil && m.expired(s) == 0 {
		return s
	}
	return nil
}

// reach is live, also by the former id of a session.
func (m *groupModel) reach(id int) *modelSession {
	if s := m.live(id); s != nil {
		return s
	}
	former, ok := m.renamed[id]
	if !ok || time.Since(former.at) >= m.grace || former.s.ended != 0 || m.expired(former.s) != 0 {
		return nil
	}
	return former.s
}

// refuses reports whether id, which has no live session, must not get one.
func (m *groupModel) refuses(id int) bool {
	at, buried := m.buried[id]
	former, renamed := m.renamed[id]
	return m.closed || buried && time.Since(at) < m.tombstones || renamed && time.Since(former.at) < m.grace
}

func (m *groupModel) bury(id int) {
	if m.tombstones > 0 && !m.closed {
		m.buried[id] = time.Now()
	}
}

// access does nothing if s is nil.
func (m *groupModel) access(s *modelSession) {
	if s != nil {
		s.accessed = time.Now()
		m.sessions = append(slices.DeleteFunc(m.sessions, func(o *modelSession) bool { return o == s }), s)
	}
}
