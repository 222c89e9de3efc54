package sessionmap

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Memory pressure: when the live heap of the process has grown past a mark, sessions leave until it is below
// another. What the heap is is known when a collection ends, and what a step has brought when one has that began after it:
// so there is a step for each second collection.
//
//	heap ── live > high ──► a step: the share (live - low) / live of the sessions ──► the next collection but one
//	   ▲                                                                                        │
//	   └──────────────────────────────── live > low ◄───────────────────────────────────────────┘

// pressure is what WithMemoryPressure says; the zero value is nothing.
type pressure struct {
	high, low float64 // shares of the limit up to 1, bytes above
	keep      int
}

// WithMemoryPressure ends sessions before the process runs out of memory: when its live heap passes high, the least
// recently accessed ones that are not leased leave, with the cause [Pressure], until it is down to low or only keep
// sessions are left. high and low are shares of the memory limit up to 1, and bytes above: 0.7 and 0.5 leave the
// garbage collector room to work in. The limit is GOMEMLIMIT, as it is set at the moment or, where there is none, that of
// the process's cgroup; where there is neither, shares mean nothing and the log says so. The library sets no limit.
//
// The live heap is what the last garbage collection left, sessions or not. Once it is above high, each second collection is
// followed by one step, until it is down to low, by which every map of the process that is made so gives up the same
// share of its sessions: as much as the heap is above low. So it overshoots only as far as the oldest sessions are larger
// than the others. A step works in bounded pieces, like a sweep. Until the heap passes high this costs a look at the
// runtime's figures ten times a second at the most, about 1 µs each, and none while the map is empty.
//
// It is the last net: where it has to catch sessions, the bounds are too wide. A high that is not above low, or either that
// is not above 0, is refused, as are a share with a number of bytes, and a negative keep.
func WithMemoryPressure(high, low float64, keep int) Option {
	return option{"WithMemoryPressure", func(c *config) {
		switch {
		case !(0 < low && low < high) || math.IsInf(high, 0):
			c.refuse("WithMemoryPressure", []float64{high, low}, "high above low, and low above 0")
		case (high > 1) != (low > 1):
			c.refuse("WithMemoryPressure", []float64{high, low}, "two shares of the limit, or two numbers of bytes")
		case keep < 0:
			c.refuse("WithMemoryPressure", keep, "0 sessions to keep, or more")
		default:
			c.pressure = pressure{high, low, keep}
		}
	}}
}

// How long it is between two looks at the heap: while it is below half of high, where it needs a while to double, and
// from there on.
const (
	farLook  = int64(time.Second)
	nearLook = int64(100 * time.Millisecond)
)

// A heapReading is what is known of the process's heap.
type heapReading struct {
	cycles uint64 // garbage collections that have ended
	live   uint64 // bytes that the last of them left
	limit  uint64 // on the process's memory; 0 is none
}

// marks returns high and low in bytes; false where they are shares of a limit that there is not.
func (p pressure) marks(h heapReading) (high, low float64, ok bool) {
	if p.high > 1 {
		return p.high, p.low, true
	}
	return p.high * float64(h.limit), p.low * float64(h.limit), h.limit > 0
}

// A shedder is what a map remembers from one look at the heap to the next. Only the alarm's run uses it.
type shedder struct {
	shedding bool   // since the heap was above high; until it is below low
	from     uint64 // the collection that tells what the last step has brought
	near     bool   // the heap is above half of high
	told     bool   // that there is no limit
}

// step returns which share of its sessions a map has to give up now that the heap is as h says.
func (s *shedder) step(p pressure, h heapReading) (share float64) {
	high, low, ok := p.marks(h)
	live := float64(h.live)
	s.near = ok && live > high/2
	switch {
	case !ok || live <= low:
		s.shedding = false
	case live > high:
		s.shedding = true
	}
	if !s.shedding || h.cycles < s.from {
		return 0
	}
	return (live - low) / live
}

// look is what the presser rings.
func (m *RobustSessionMap[K, V]) look() {
	m.answer(&m.presser, m.shed, func(now int64) int64 {
		switch {
		case m.Len() == 0:
			return never
		case m.shedder.near:
			return after(now, nearLook)
		}
		return after(now, farLook)
	})
}

// shed looks at the heap and, if it has to be, does a step.
func (m *RobustSessionMap[K, V]) shed() {
	h := m.readHeap()
	share := m.shedder.step(m.pressure, h)
	if _, _, ok := m.pressure.marks(h); !ok && !m.shedder.told {
		m.shedder.told = true
		m.callbacks.warn("sessionmap: WithMemoryPressure does nothing: there is no GOMEMLIMIT and no cgroup limit to take a share of")
	}
	if share == 0 {
		return
	}
	defer func() { // deferred, for a callback may end its goroutine
		m.shedder.from = m.readHeap().cycles + 2 // a collection under way may have seen them still
	}()
	for n := int(math.Ceil(share * float64(m.Len()))); n > 0; {
		left := m.giveUp(min(n, sweepBatch), m.pressure.keep)
		if left == 0 {
			break // there are so few, or all are leased
		}
		n -= left
	}
}

// giveUp ends up to n sessions for memory pressure, as long as more than keep stay, and returns how many: those expired, then
// the least recently accessed.
func (m *RobustSessionMap[K, V]) giveUp(n, keep int) int {
	batch := make([]removal[K, V], 0, n)
	for done := false; !done; {
		m.mu.Lock()
		p, now := m.policy.Load(), m.clock.exact()
		for len(batch) < n {
			var left removal[K, V]
			if done = p.count.Load() <= int64(keep); done {
				break
			}
			if done = p.makeRoom(now, nil, Pressure, &left); left.cause == 0 {
				break
			}
			batch = append(batch, left)
			m.stir(now)
		}
		m.mu.Unlock()
		done = done || len(batch) == n
	}
	m.report(batch)
	return len(batch)
}

// processHeap is the one watcher of the heap, for all maps.
var processHeap heapWatch

type heapWatch struct {
	mu      sync.Mutex
	samples []metrics.Sample
}

func (w *heapWatch) read() heapReading {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.samples == nil {
		w.samples = []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/live:bytes"}, {Name: "/gc/gomemlimit:bytes"}}
	}
	metrics.Read(w.samples)
	h := heapReading{cycles: w.samples[0].Value.Uint64(), live: w.samples[1].Value.Uint64(), limit: w.samples[2].Value.Uint64()}
	if h.limit == math.MaxInt64 {
		h.limit = cgroupLimit()
	}
	return h
}

var cgroupLimit = sync.OnceValue(func() uint64 { return cgroupLimitIn(os.DirFS("/")) })

// cgroupLimitIn returns the memory limit of the process's cgroup, version 2 or 1, in the file system at root: the
// least of its own and those of the groups around it; 0 if there is none.
// Source: Linux, Documentation/admin-guide/cgroup-v2.rst, and cgroup-v1/memory.rst.
func cgroupLimitIn(root fs.FS) uint64 {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	limit := uint64(math.MaxUint64)
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // number:controllers:path
		if len(fields) != 3 {
			continue
		}
		var mount, file string
		switch controllers := strings.Split(fields[1], ","); {
		case fields[0] == "0" && fields[1] == "":
			mount, file = "sys/fs/cgroup", "memory.max"
		case slices.Contains(controllers, "memory"):
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for dir := path.Clean("/" + fields[2]); ; dir = path.Dir(dir) {
			if text, err := fs.ReadFile(root, path.Join(mount, dir, file)); err == nil {
				if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil {
					limit = min(limit, n)
				}
			}
			if dir == "/" {
				break
			}
		}
	}
	if limit >= unlimited {
		return 0
	}
	return limit
}

// unlimited is what version 1 says where there is no limit, or more: the largest multiple of a page.
const unlimited = math.MaxInt64 &^ (1<<16 - 1)
