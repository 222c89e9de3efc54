package sessionmap

import (
	"encoding/json"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"
)

// Stats are a map's figures since it was made. They are read one after the other while the map works, so
// they fit each other exactly only at rest; then Sets = Live + the sum of Removals.
type Stats struct {
	Name string

	Hits   uint64 // Get, GetOrSet and GetOrLoad that found the key
	Misses uint64 // Get, GetOrSet and GetOrLoad that did not
	Sets   uint64 // values put in, those that replaced another and those rejected included
	Live   int    // entries now, expired ones that no sweep has met included

	MaxSize int   // the bound on Live; 0 is none
	Cost    int64 // of all values, where the map is made WithMaxCost, WithCost or WithMaxTotalCost
	MaxCost int64 // the bound on Cost; 0 is none

	Removals map[Cause]uint64 // values that left, by cause

	Leases        int    // held now
	OverdueLeases int    // of these, held for longer than WithLeaseWarning says when a sweep last looked
	LostLeases    uint64 // collected without Release

	Sweeps         uint64        // background sweeps and calls of Sweep
	LongestSweep   time.Duration // its callbacks included
	CallbackPanics uint64
	CloseErrors    uint64 // of values, on a map made WithCloser
}

// Ended returns how many sessions have ended: all removals but those that left the key in place or never
// stored it, Replaced and Rejected.
func (s Stats) Ended() uint64 {
	var n uint64
	for cause, count := range s.Removals {
		if cause != Replaced && cause != Rejected {
			n += count
		}
	}
	return n
}

// BackstopShare returns the share of the ended sessions, from 0 to 1, that a backstop had to end. Near 1
// it says that session.deleted events or deletes do not arrive.
func (s Stats) BackstopShare() float64 {
	var n uint64
	for cause, count := range s.Removals {
		if cause.Backstop() {
			n += count
		}
	}
	if n == 0 {
		return 0
	}
	return float64(n) / float64(s.Ended())
}

// String returns the figures as JSON, under their names here. As a map, a group and an attribute have such a
// method too, each is an expvar.Var: expvar.Publish("agents", agents).
func (s Stats) String() string {
	b, err := json.Marshal(s)
	if err != nil { // a Stats has nothing that cannot be marshalled
		return "null"
	}
	return string(b)
}

// LogValue returns what a log line should say of a map: its name, size, cost, leases, and the removals by cause.
func (s Stats) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("name", s.Name), slog.Int("live", s.Live), slog.Int("max_size", s.MaxSize)}
	if s.Cost > 0 || s.MaxCost > 0 {
		attrs = append(attrs, slog.Int64("cost", s.Cost), slog.Int64("max_cost", s.MaxCost))
	}
	if s.Leases > 0 {
		attrs = append(attrs, slog.Int("leases", s.Leases))
	}
	var removals []any
	for cause := range causes {
		if n := s.Removals[cause]; n > 0 {
			removals = append(removals, slog.Uint64(cause.String(), n))
		}
	}
	return slog.GroupValue(append(attrs, slog.Group("removals", removals...), slog.Float64("backstop_share", s.BackstopShare()))...)
}

// String returns the map's [Stats] as JSON.
func (m *RobustSessionMap[K, V]) String() string { return m.Stats().String() }

// String returns the group's [Stats] as JSON.
func (g *Group[K]) String() string { return g.Stats().String() }

// String returns the attribute's [Stats] as JSON.
func (a *Attribute[K, V]) String() string { return a.Stats().String() }

// LogValue is that of the map's [Stats].
func (m *RobustSessionMap[K, V]) LogValue() slog.Value { return m.Stats().LogValue() }

// LogValue is that of the group's [Stats].
func (g *Group[K]) LogValue() slog.Value { return g.Stats().LogValue() }

// LogValue is that of the attribute's [Stats].
func (a *Attribute[K, V]) LogValue() slog.Value { return a.Stats().LogValue() }

// counters are what Stats reads. Those of the hot path are spread over lanes.
type counters struct {
	lanes        []counterLane // a power of two
	inserts      atomic.Uint64
	removals     [causes]atomic.Uint64 // but for Replaced, which the lanes count
	sweeps       atomic.Uint64
	longestSweep atomic.Int64
	lostLeases   atomic.Uint64
	closeErrors  atomic.Uint64
}

type counterLane struct {
	hits, misses, replaced atomic.Uint64
	_                      [cacheLine - 3*unsafe.Sizeof(uint64(0))]byte
}

func newCounters() *counters {
	return &counters{lanes: make([]counterLane, laneCount())}
}

func (c *counters) lane() *counterLane { return &c.lanes[ownLane()&(len(c.lanes)-1)] }

func (c *counters) swept(took time.Duration) {
	c.sweeps.Add(1)
	for {
		old := c.longestSweep.Load()
		if int64(took) <= old || c.longestSweep.CompareAndSwap(old, int64(took)) {
			return
		}
	}
}

func (c *counters) stats() Stats {
	s := Stats{Removals: make(map[Cause]uint64), Sweeps: c.sweeps.Load(), LongestSweep: time.Duration(c.longestSweep.Load()), LostLeases: c.lostLeases.Load(), CloseErrors: c.closeErrors.Load()}
	var replaced uint64
	for i := range c.lanes {
		s.Hits += c.lanes[i].hits.Load()
		s.Misses += c.lanes[i].misses.Load()
		replaced += c.lanes[i].replaced.Load()
	}
	for cause := range causes {
		n := c.removals[cause].Load()
		if cause == Replaced {
			n = replaced
		}
		if n > 0 {
			s.Removals[cause] = n
		}
	}
	s.Sets = c.inserts.Load() + replaced + s.Removals[Rejected]
	return s
}

// What every access writes is spread over lanes, so that cores seldom write the same one. A goroutine
// keeps to a lane, which is told by where its stack is.

// laneCount is over how many lanes to spread: a power of two, several a core.
func laneCount() int {
	n := lanesPerCore
	for n < min(lanesPerCore*runtime.GOMAXPROCS(0), maxLanes) {
		n *= 2
	}
	return n
}

const (
	lanesPerCore = 4
	maxLanes     = 64
	stackBits    = 11 // stacks are at least 2 KB apart
)

// ownLane is a number to choose the goroutine's lane by.
func ownLane() int {
	var onStack byte
	return int(uint32(uintptr(unsafe.Pointer(&onStack))>>stackBits) * 0x9e3779b1 >> 16)
}
