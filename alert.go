package sessionmap

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The backstops report themselves: a map looks at its own figures every now and then, and tells the log, and who else
// wants to hear, what they say is wrong and what to do about it. It looks only while something happens.

// An Alert tells of something about a map or a group that somebody should see to.
type Alert struct {
	Kind    AlertKind
	Name    string // of the map or group
	Message string // what has been seen, in figures
	Advice  string // what to do
}

// An AlertKind is what an [Alert] is about.
type AlertKind int

// The kinds of alerts.
const (
	AlertBackstop  AlertKind = iota + 1 // sessions are ended by backstops instead of events and deletes
	AlertNearBound                      // nearly as many sessions, or as much cost, as the bound allows
	AlertEvicting                       // sessions are evicted before their idle timeout
	AlertPressure                       // sessions are ended for memory pressure
	AlertLeases                         // leases are held for long, or were dropped without Release
	AlertPanics                         // callbacks have panicked
	AlertBlocked                        // a callback does not return
	AlertHeap                           // the heap grows, and the sessions do not
	alertKinds
)

var alertNames = [alertKinds]string{"none", "backstop", "near bound", "evicting", "pressure", "leases", "panics", "blocked", "heap"}

// String returns the kind in words, as in "near bound".
func (k AlertKind) String() string {
	if 0 < k && k < alertKinds {
		return alertNames[k]
	}
	return fmt.Sprintf("AlertKind(%d)", int(k))
}

// AlertRules say when a map alerts. A zero field is its default, a negative one turns the alert off, or the repetition.
type AlertRules struct {
	// BackstopShare is the share of the ended sessions, up to 1, from which it is worth an alert that backstops ended
	// them. The default is 0.2 on a map that is made [WithSessionDeleted], and off on others.
	BackstopShare float64
	// BackstopWindow is of how many ended sessions, at the least, that share is taken. The default is 200.
	BackstopWindow int
	// Fill is the share of a bound from which it is near. The default is 0.9.
	Fill float64
	// HeapGrowth is by what share the live heap must have grown, at a steady slope and by 16 MB at the least, while the
	// sessions did not. The default is 0.5 on a map that is made WithAlerts, and off on others.
	HeapGrowth float64
	// HeapWindow is over how long: 2m30s at the least, for a slope takes some looks to show. The default is 30 minutes.
	HeapWindow time.Duration
	// Repeat is after how long an alert of the same kind may come again; a negative one is never. The default is an hour.
	Repeat time.Duration
}

// WithAlerts changes when the map alerts, and has hook, unless it is nil, told of each alert, besides the log. Without
// it the log is told, by the default rules. The map looks at its figures every 10 seconds while sessions come and go,
// which takes some microseconds. Calls of hook come one after the other, on a goroutine of their own; one that blocks
// holds up further alerts. A share of ended sessions or of a bound above 1, one that is no number, a window of one session
// and a HeapWindow that is too short are refused.
func WithAlerts(rules AlertRules, hook func(Alert)) Option {
	return option{"WithAlerts", func(c *config) {
		if !(rules.BackstopShare <= 1) {
			c.refuse("WithAlerts", rules.BackstopShare, "a BackstopShare of 1 at the most")
		}
		if !(rules.Fill <= 1) {
			c.refuse("WithAlerts", rules.Fill, "a Fill of 1 at the most")
		}
		if math.IsNaN(rules.HeapGrowth) {
			c.refuse("WithAlerts", rules.HeapGrowth, "a number for HeapGrowth")
		}
		if rules.BackstopWindow == 1 {
			c.refuse("WithAlerts", rules.BackstopWindow, "a BackstopWindow of more than 1")
		}
		if 0 < rules.HeapWindow && rules.HeapWindow < leastHeapWindow {
			c.refuse("WithAlerts", rules.HeapWindow, "a HeapWindow of "+leastHeapWindow.String()+" or more")
		}
		if rules.HeapGrowth == 0 {
			rules.HeapGrowth = defaultHeapGrowth
		}
		c.alertRules, c.alertHook = rules, hook
	}}
}

const (
	defaultBackstopShare  = 0.2
	defaultBackstopWindow = 200
	defaultFill           = 0.9
	defaultHeapGrowth     = 0.5
	defaultHeapWindow     = 30 * time.Minute
	defaultRepeat         = time.Hour

	watchEvery      = 10 * time.Second
	heapSamples     = 30 // in a window, and half as many at the least
	leastHeapWindow = heapSamples / 2 * watchEvery
	leastGrowth     = 16 << 20
)

// withDefaults returns the rules with their defaults filled in; what is off is below 0.
func (r AlertRules) withDefaults(hasSource bool) AlertRules {
	if r.BackstopShare == 0 && !hasSource {
		r.BackstopShare = -1
	}
	if r.HeapGrowth == 0 {
		r.HeapGrowth = -1
	}
	or := func(share *float64, standard float64) {
		if *share == 0 {
			*share = standard
		}
	}
	or(&r.BackstopShare, defaultBackstopShare)
	or(&r.Fill, defaultFill)
	if r.BackstopWindow == 0 {
		r.BackstopWindow = defaultBackstopWindow
	}
	if r.HeapWindow == 0 {
		r.HeapWindow = defaultHeapWindow
	}
	if r.Repeat == 0 {
		r.Repeat = defaultRepeat
	}
	return r
}

// A watch is what a map remembers from one look at its figures to the next. Only the alarm's run uses it, but for
// stirred.
type watch struct {
	rules   AlertRules
	hook    func(Alert)
	told    [alertKinds]int64 // when
	last    Stats             // at the last look
	window  Stats             // when the window of the backstops began
	heap    []heapSample
	quiet   bool  // nothing had happened since the look before, or is going to that a look could tell
	stirred int64 // when something last happened; guarded by the map's lock
}

type heapSample struct {
	at             int64
	live, sessions float64
}

// stir has the map look at its figures soon, when they show what is just happening. It needs the lock.
func (m *RobustSessionMap[K, V]) stir(now int64) {
	m.watch.stirred = now
	m.watcher.arm(m.settled(), now)
}

// settled is when the figures show all that has happened: they are counted after the lock is released.
func (m *RobustSessionMap[K, V]) settled() int64 { return after(m.watch.stirred, m.watcher.interval) }

// lookAround is what the watcher rings.
func (m *RobustSessionMap[K, V]) lookAround() {
	m.answer(&m.watcher, m.watchFigures, func(now int64) int64 {
		if m.watch.quiet && m.watcher.last >= m.settled() {
			return never
		}
		return after(now, m.watcher.interval)
	})
}

// watchFigures looks at the figures and alerts.
func (m *RobustSessionMap[K, V]) watchFigures() {
	w := &m.watch
	s, was := m.Stats(), w.last
	blocked := m.callbacks.blocked()
	w.last = s
	w.quiet = (blocked > 0 || !m.callbacks.running()) && s.Leases == 0 && s.Sets == was.Sets && s.Ended() == was.Ended() && (w.rules.HeapGrowth < 0 || s.Live == 0)

	// An alert's hook may end the goroutine (runtime.Goexit), and the others still have to be told.
	runAll([]func(){
		func() { m.watchBackstops(s) },
		func() { m.watchBound("a size", "WithMaxSize", float64(s.Live), float64(s.MaxSize)) },
		func() { m.watchBound("a cost", "the bound on cost", float64(s.Cost), float64(s.MaxCost)) },
		func() { m.watchEvictions() },
		func() { m.watchPressure(s, was) },
		func() { m.watchLeases(s, was) },
		func() { m.watchCallbacks(s, was, blocked) },
		func() { m.watchHeap(s) },
	})
}

// watchLeases looks at whether leases are forgotten.
func (m *RobustSessionMap[K, V]) watchLeases(s, was Stats) {
	if s.OverdueLeases > 0 {
		m.alert(AlertLeases, fmt.Sprintf("%d leases are held for longer than %v", s.OverdueLeases, time.Duration(m.leaseWarning)),
			"Leases tells which; defer Release where they are acquired, or raise WithLeaseWarning")
	} else if n := s.LostLeases - was.LostLeases; n > 0 {
		m.alert(AlertLeases, fmt.Sprintf("%d leases were dropped without Release", n), "defer Release where leases are acquired")
	}
}

// watchCallbacks looks at whether callbacks panic or do not return.
func (m *RobustSessionMap[K, V]) watchCallbacks(s, was Stats, blocked int64) {
	if n := s.CallbackPanics - was.CallbackPanics; n > 0 {
		m.alert(AlertPanics, fmt.Sprintf("%d callbacks panicked", n), "the log has the stacks; what a callback releases has not been released")
	}
	if blocked > 0 {
		m.alert(AlertBlocked, fmt.Sprintf("%d callbacks have been running for more than %v", blocked, time.Duration(m.watcher.interval)),
			"a callback holds up the call it belongs to, or all sweeps: look at the goroutine profile, and hand slow work to a goroutine")
	}
}

// watchBackstops looks at how the sessions of a window have ended.
func (m *RobustSessionMap[K, V]) watchBackstops(s Stats) {
	w := &m.watch
	since := Stats{Removals: make(map[Cause]uint64)}
	for cause, n := range s.Removals {
		since.Removals[cause] = n - w.window.Removals[cause]
	}
	ended := since.Ended()
	if w.rules.BackstopShare < 0 || w.rules.BackstopWindow < 0 || ended < uint64(w.rules.BackstopWindow) {
		return
	}
	w.window = s
	if since.BackstopShare() < w.rules.BackstopShare {
		return
	}
	var caught []string
	for cause, how := range map[Cause]string{Idle: "after idling", Lifetime: "at the end of their lifetime", Evicted: "for size", EvictedCost: "for cost", Pressure: "for memory pressure"} {
		if n := since.Removals[cause]; n > 0 {
			caught = append(caught, fmt.Sprintf("%d %s", n, how))
		}
	}
	slices.Sort(caught)
	m.alert(AlertBackstop, fmt.Sprintf("session.deleted reached %d of the last %d ended sessions, and deletes %d; reclaimed were %s",
		since.Removals[SessionDeleted], ended, since.Removals[Deleted], strings.Join(caught, ", ")),
		"see whether the source delivers its events, and whether every way out of a session deletes it (defer)")
}

// watchBound looks at whether a bound is near.
func (m *RobustSessionMap[K, V]) watchBound(what, option string, n, bound float64) {
	if r := m.watch.rules.Fill; bound > 0 && r >= 0 && n >= r*bound {
		m.alert(AlertNearBound, fmt.Sprintf("%s of %.0f is near the bound of %.0f", what, n, bound),
			"raise "+option+" or shorten the timeouts, or sessions will be evicted that are in use")
	}
}

// watchEvictions looks at whom the bounds have pushed out.
func (m *RobustSessionMap[K, V]) watchEvictions() {
	m.mu.Lock()
	p := m.policy.Load()
	evicted, youngest := p.evicted, p.youngest
	p.evicted, p.youngest = 0, never
	m.mu.Unlock()
	if evicted > 0 && m.timeouts.idle > 0 && youngest < m.timeouts.idle {
		m.alert(AlertEvicting, fmt.Sprintf("%d sessions were evicted before their idle timeout of %v, one of them %v after its last access",
			evicted, time.Duration(m.timeouts.idle), time.Duration(youngest).Round(time.Millisecond)),
			"raise the bound or shorten WithTTL; lease sessions that are at work")
	}
}

// watchPressure looks at whom the memory pressure has pushed out.
func (m *RobustSessionMap[K, V]) watchPressure(s, was Stats) {
	if n := s.Removals[Pressure] - was.Removals[Pressure]; n > 0 {
		m.alert(AlertPressure, fmt.Sprintf("%d sessions were ended for memory pressure", n),
			"lower WithMaxSize or WithMaxCost, shorten the timeouts, or give the process more memory")
	}
}

// watchHeap looks at whether the heap grows while the sessions do not.
func (m *RobustSessionMap[K, V]) watchHeap(s Stats) {
	w := &m.watch
	now, window := m.clock.exact(), int64(w.rules.HeapWindow)
	if w.rules.HeapGrowth < 0 || window < 0 {
		return
	}
	if n := len(w.heap); n > 0 && now-w.heap[n-1].at < window/heapSamples {
		return
	}
	w.heap = append(w.heap, heapSample{now, float64(m.readHeap().live), float64(s.Live)})
	first := slices.IndexFunc(w.heap, func(h heapSample) bool { return now-h.at <= window })
	w.heap = slices.Delete(w.heap, 0, first)
	if len(w.heap) < heapSamples/2 || now-w.heap[0].at < window*9/10 {
		return
	}
	live := func(h heapSample) float64 { return h.live }
	sessions := func(h heapSample) float64 { return h.sessions }
	grown, more := trend(w.heap, live), trend(w.heap, sessions)
	if grown < leastGrowth || grown < w.rules.HeapGrowth*w.heap[0].live || more > 1+0.1*w.heap[0].sessions {
		return
	}
	m.alert(AlertHeap, fmt.Sprintf("the live heap grew by %.0f MB to %.0f MB within %v, while the sessions went from %.0f to %d",
		grown/(1<<20), w.heap[len(w.heap)-1].live/(1<<20), time.Duration(now-w.heap[0].at).Round(time.Second), w.heap[0].sessions, s.Live),
		"something grows that does not end with the sessions, or within them: compare two heap profiles (go tool pprof -base)")
}

// trend is by how much a figure has grown from the first sample to the last: the median slope between any two.
// Source: P. K. Sen, Estimates of the regression coefficient based on Kendall's tau, JASA 63, 1968.
func trend(samples []heapSample, figure func(heapSample) float64) float64 {
	var slopes []float64
	for i, a := range samples {
		for _, b := range samples[i+1:] {
			slopes = append(slopes, (figure(b)-figure(a))/float64(b.at-a.at))
		}
	}
	slices.Sort(slopes)
	return slopes[len(slopes)/2] * float64(samples[len(samples)-1].at-samples[0].at)
}

// alert tells the log and the hook, unless they have been told of the like not long ago.
func (m *RobustSessionMap[K, V]) alert(kind AlertKind, message, advice string) {
	w, now := &m.watch, m.clock.exact()
	if last := w.told[kind]; last != 0 && (w.rules.Repeat < 0 || now-last < int64(w.rules.Repeat)) {
		return
	}
	w.told[kind] = max(now, 1)
	if kind != AlertLeases && kind != AlertPanics { // of which the log has been told when they were found
		m.callbacks.warn("sessionmap: "+message, "alert", kind.String(), "advice", advice)
	}
	if w.hook != nil {
		m.callbacks.run("WithAlerts", func() { w.hook(Alert{kind, m.name, message, advice}) })
	}
}
