package sessionmap_test

import (
	"context"
	"time"

	"github.com/sessionmap/sessionmap"
)

// The model is the contract in its most naive form: a slice in the order of access, walked from end to
// end for everything. Programs run on it and on the map, in fake time.
type model struct {
	modelRules
	lives[*modelEntry]
	indexes      []*modelIndex[*modelEntry]
	leases       []*entryLease
	failed       map[int]modelFailure
	hits, misses uint64
	sets, panics uint64
	failedCloses uint64
	removals     map[sessionmap.Cause]uint64
	states       map[int]*modelState // the values with a Close that have not been closed
}

// modelRules are the options of a map, and what it begins with. Of what is 0 there is none.
type modelRules struct {
	lifeRules
	costs           bool
	refreshAfter    time.Duration
	loadErrorTTL    time.Duration
	closes          bool
	coarse, pressed bool // the clock is a coarse one; the heap is looked at
	limits          []sessionmap.LimitAction
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
	if r.maxSize == 0 && r.idle == 0 && r.lifetime == 0 { // one of them there must be
		r.costs, r.maxCost = true, 60
	}
	return r
}

type modelEntry struct {
	modelLife
	number     int
	version    int  // changes with each value
	granted    int  // changes with each that demanded something
	loaded     bool // its value was not set, but loaded,
	loadedAt   time.Time
	refreshing bool
}

// A modelFailure is how a load has failed.
type modelFailure struct {
	err error
	at  time.Time
}

type entryLease struct {
	mapLease
	modelHold
	value            func() int
	e                *modelEntry
	acquired, number int // of the value then, and the one that it is to tell
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

// costOf returns what a value costs.
func (m *model) costOf(number int) int64 {
	if !m.costs {
		return 0
	}
	cost, _ := silently(numberCost, number)
	return cost
}

func (m *model) cost() (sum int64) {
	for _, e := range m.alive {
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

// store gives e another value.
func (m *model) store(e *modelEntry, number int) {
	e.number, e.loaded = number, false
	e.version++
	if m.costs || m.refreshAfter > 0 || len(m.indexes) > 0 {
		e.granted++
	}
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
