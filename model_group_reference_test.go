package sessionmap_test

import (
	"strconv"
	"time"

	"github.com/sessionmap/sessionmap"
)

// The model of a group is the contract in its most naive form: a slice of sessions in the order of access, walked from
// end to end for everything. Programs run on it and on the group, in fake time.
type groupModel struct {
	groupRules
	lives[*modelSession]
	attributes []*modelAttribute
	leases     []*modelLease
	guarded    map[int]int // what has to be in the guarded maps
	sets       uint64      // of sessions, as are
	removals   map[sessionmap.Cause]uint64
	contexts   []*modelSession     // that have one
	states     map[int]*modelState // the values with a Close that have not been closed
}

// groupRules are the options of a group, and what it begins with. Of what is 0 there is none.
type groupRules struct {
	lifeRules
	attributes int
	limits     []sessionmap.LimitAction // of the indexes on the first attribute
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
	if r.maxSize == 0 && r.idle == 0 && r.lifetime == 0 { // one of them there must be; the cost is met sooner
		r.maxSize, r.maxCost = 1000, max(r.maxCost, 12)
	}
	return r
}

type modelSession struct {
	modelLife
	values map[*modelAttribute]int
}

type modelLease struct {
	*sessionmap.Lease[int, *sessionmap.Session[int]]
	modelHold
	s *modelSession
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
	for _, s := range m.alive {
		sum += s.cost()
	}
	return sum
}
