package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// The probes ask what a store of sessions has to get right before it may be fast. They use the same small
// interface as the benchmarks, and the same set-up.

type probePlan struct {
	idle     time.Duration // of what is to expire; long enough for those that count whole seconds
	patience time.Duration // after which what has not come will not
	ids      int
}

// A verdict is the outcome of one probe for one contestant.
type verdict struct {
	ok     bool
	detail string // how it failed
}

func passed() verdict { return verdict{ok: true} }

func failed(format string, args ...any) verdict { return verdict{detail: fmt.Sprintf(format, args...)} }

// A probe is one question. Those that only wait may run side by side.
type probe struct {
	name  string
	asks  string
	waits bool
	run   func(probePlan, contestant) verdict
}

var probes = []probe{
	{"read your writes", "A Get right after the Set finds the value.", false, readYourWrites},
	{"no ghost", "A Get past the idle timeout finds nothing, however late the sweep.", true, noGhost},
	{"touch extends", "A session that was read lives for the whole idle timeout from then on, and no longer.", true, touchExtends},
	{"bound", "Len never exceeds the maximal size, and a store has room for just as many.", false, exactBound},
	{"exact LRU", "What is pushed out is the least recently accessed, each time.", false, exactLRU},
	{"callback re-entry", "A removal callback may call the store.", false, callbackReentry},
	{"dropped without Close", "A store that is let go of leaves neither goroutines nor values.", false, droppedWithoutClose},
}

// farOff is for timeouts and sweeps that must not come during a probe.
const farOff = time.Hour

func runProbes(p plan, progress io.Writer) map[string][]verdict {
	verdicts := make(map[string][]verdict)
	for _, who := range p.contestants {
		verdicts[who.name] = make([]verdict, len(probes))
	}
	for i, pr := range probes {
		fmt.Fprintf(progress, "probe: %s\n", pr.name)
		var all sync.WaitGroup
		for _, who := range p.contestants {
			ask := func() { verdicts[who.name][i] = pr.run(p.probe, who) }
			if !pr.waits {
				ask()
				continue
			}
			all.Go(ask)
		}
		all.Wait()
	}
	return verdicts
}

func probeSessions(n int) []session {
	rng := rand.New(rand.NewPCG(7, 7))
	sessions := make([]session, n)
	for i := range sessions {
		sessions[i] = session{newID(rng), i}
	}
	return sessions
}

func readYourWrites(p probePlan, who contestant) verdict {
	s := who.make(config{maxSize: 2 * p.ids, idle: farOff, sweep: farOff})
	defer s.Close()
	sessions := probeSessions(p.ids)
	missing := 0
	for i := range sessions {
		s.Set(sessions[i].id, &sessions[i])
		if s.Get(sessions[i].id) != &sessions[i] {
			missing++
		}
	}
	if missing > 0 {
		return failed("%d of %d missing", missing, p.ids)
	}
	return passed()
}

// noGhost reads sessions that nobody has read before, each set once at some time past its deadline.
func noGhost(p probePlan, who contestant) verdict {
	if !who.expires {
		return failed("no timeout")
	}
	const phases = 10 // of a clock that ticks
	past := []time.Duration{2 * time.Millisecond, 20 * time.Millisecond, p.idle / 10, p.idle / 4}
	s := who.make(config{maxSize: 1000, idle: p.idle, sweep: farOff})
	defer s.Close()
	sessions := probeSessions(phases * len(past))
	set := make([]time.Time, phases)
	for phase := range phases {
		for j := range past {
			one := &sessions[phase*len(past)+j]
			s.Set(one.id, one)
		}
		set[phase] = time.Now()
		time.Sleep(p.idle / 40)
	}
	var late time.Duration
	ghosts := 0
	for j, after := range past {
		for phase := range phases {
			time.Sleep(time.Until(set[phase].Add(p.idle + after)))
			if s.Get(sessions[phase*len(past)+j].id) != nil {
				ghosts++
				late = max(late, after)
			}
		}
	}
	if ghosts > 0 {
		return failed("returned %v past its time", late)
	}
	return passed()
}

// touchExtends reads sessions half way, and asks for them late in the time that this gave them, and later.
func touchExtends(p probePlan, who contestant) verdict {
	if !who.expires {
		return failed("no timeout")
	}
	const phases = 10
	s := who.make(config{maxSize: 1000, idle: p.idle, sweep: farOff})
	defer s.Close()
	sessions := probeSessions(2 * phases) // those to be asked for in time, then those after it
	// A touch is at some moment between these two.
	before, after := make([]time.Time, phases), make([]time.Time, phases)
	set := time.Now()
	for i := range sessions {
		s.Set(sessions[i].id, &sessions[i])
	}
	time.Sleep(time.Until(set.Add(p.idle / 2)))
	for phase := range phases {
		now := time.Now()
		found := s.Get(sessions[phase].id) != nil && s.Get(sessions[phases+phase].id) != nil
		if age := time.Since(set); !found && age < p.idle {
			return failed("gone after %v of %v", age.Round(p.idle/100), p.idle)
		}
		if found { // else it came too late, on a busy machine, which proves nothing
			before[phase], after[phase] = now, time.Now()
		}
		time.Sleep(p.idle / 40)
	}
	early, stayed := 0, 0
	for phase := range phases {
		time.Sleep(time.Until(before[phase].Add(p.idle * 9 / 10)))
		found := s.Get(sessions[phase].id) != nil
		if !found && time.Since(before[phase]) < p.idle {
			early++
		}
	}
	for phase := range phases {
		time.Sleep(time.Until(after[phase].Add(p.idle + p.idle/4)))
		if s.Get(sessions[phases+phase].id) != nil {
			stayed++
		}
	}
	switch {
	case !who.touches && early > 0:
		return failed("reads do not touch")
	case early > 0:
		return failed("%d of %d gone early", early, phases)
	case stayed > 0:
		return failed("%d of %d stay too long", stayed, phases)
	}
	return passed()
}

// exactBound has goroutines push sessions through a small store and watches its size.
func exactBound(p probePlan, who contestant) verdict {
	if !who.bounded {
		return failed("no bound")
	}
	const size, goroutines = 1000, 4
	s := who.make(config{maxSize: size, idle: farOff, sweep: farOff})
	defer s.Close()
	sessions := probeSessions(p.ids)
	for i := range size {
		s.Set(sessions[i].id, &sessions[i])
	}
	held := 0
	for i := range size {
		if s.Get(sessions[i].id) != nil {
			held++
		}
	}
	var setters sync.WaitGroup
	var running atomic.Int64
	running.Store(goroutines)
	for g := range goroutines {
		setters.Go(func() {
			defer running.Add(-1)
			for i := size + g; i < len(sessions); i += goroutines {
				s.Set(sessions[i].id, &sessions[i])
			}
		})
	}
	most := 0
	for running.Load() > 0 {
		most = max(most, s.Len())
		runtime.Gosched()
	}
	setters.Wait()
	most = max(most, s.Len())
	switch {
	case most > size:
		return failed("%+.1f %% over", 100*float64(most-size)/size)
	case held < size:
		return failed("holds %d of %d", held, size)
	}
	return passed()
}

// exactLRU compares a store with the simplest thing that is right, access by access.
func exactLRU(p probePlan, who contestant) verdict {
	if !who.bounded {
		return failed("no bound")
	}
	const size, accesses = 100, 20_000
	s := who.make(config{maxSize: size, idle: farOff, sweep: farOff})
	defer s.Close()
	sessions := probeSessions(4 * size)
	rng := rand.New(rand.NewPCG(3, 3))
	zipf := rand.NewZipf(rng, 1.01, 10, uint64(len(sessions)-1))
	var order []int // the reference: the least recently accessed first
	differ := 0
	for range accesses {
		i := int(zipf.Uint64())
		at := -1
		for j, k := range order {
			if k == i {
				at = j
				break
			}
		}
		if rng.IntN(5) == 0 {
			s.Set(sessions[i].id, &sessions[i])
		} else {
			found := s.Get(sessions[i].id) != nil
			if found != (at >= 0) {
				differ++
			}
			if !found {
				s.Set(sessions[i].id, &sessions[i])
			}
		}
		if at >= 0 {
			order = append(order[:at], order[at+1:]...)
		} else if len(order) == size {
			order = order[1:]
		}
		order = append(order, i)
	}
	if differ > 0 {
		return failed("%.2g %% of accesses differ", 100*float64(differ)/accesses)
	}
	return passed()
}

// callbackReentry has a callback call everything there is, for removals by eviction and by Delete. What hangs
// is left behind.
func callbackReentry(p probePlan, who contestant) verdict {
	if !who.callback {
		return failed("no callback")
	}
	const size, reentries = 10, 1000 // more than the queues of those who have some hold
	var calls, finished atomic.Int64
	sessions := probeSessions(2 * reentries)
	var s store
	s = who.make(config{maxSize: size, idle: farOff, sweep: farOff, onRemove: func(removed *session) {
		n := calls.Add(1)
		if n < reentries { // a Set may push out the next one, which calls again
			fresh := &sessions[reentries+int(n)]
			s.Set(fresh.id, fresh)
			s.Get(removed.id)
			s.Delete(sessions[0].id)
			s.Len()
		}
		finished.Add(1)
	}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range reentries {
			s.Set(sessions[i].id, &sessions[i])
			s.Delete(sessions[i/2].id)
		}
		for wait := time.Now(); calls.Load() == 0 && time.Since(wait) < p.patience; {
			time.Sleep(time.Millisecond)
		}
	}()
	timeout := time.After(2 * p.patience)
	select {
	case <-done:
	case <-timeout:
		return failed("hangs")
	}
	for calls.Load() > finished.Load() {
		select {
		case <-timeout:
			return failed("hangs")
		case <-time.After(time.Millisecond):
		}
	}
	if calls.Load() == 0 {
		return failed("never called")
	}
	go s.Close() // which may hang in its turn
	return passed()
}

// droppedWithoutClose makes a store, and forgets it.
func droppedWithoutClose(p probePlan, who contestant) verdict {
	// The first store of all may start something that later ones share.
	c := config{maxSize: 1000, idle: farOff, sweep: p.patience / 4}
	first := who.make(c)
	first.Close()
	const lettingGo = 200 * time.Millisecond
	settle(func() bool { return false }, lettingGo)

	goroutines := runtime.NumGoroutine()
	values := dropStore(who, c)
	left := func() (held, running int) {
		for _, v := range values {
			if v.Value() != nil {
				held++
			}
		}
		return held, runtime.NumGoroutine() - goroutines
	}
	settle(func() bool { v, g := left(); return v == 0 && g <= 0 }, p.patience)
	if v, g := left(); v > 0 || g > 0 {
		return failed("leaks %d of %d values, goroutines: %d", v, len(values), max(g, 0))
	}
	return passed()
}

func dropStore(who contestant, c config) []weak.Pointer[session] {
	const n = 100
	s := who.make(c)
	values := make([]weak.Pointer[session], n)
	for i, one := range probeSessions(n) {
		v := &session{id: one.id}
		values[i] = weak.Make(v)
		s.Set(v.id, v)
	}
	return values
}

// settle collects garbage until it is enough, or for a time.
func settle(enough func() bool, limit time.Duration) {
	for start := time.Now(); time.Since(start) < limit; {
		runtime.GC()
		if enough() {
			return
		}
		time.Sleep(min(limit/100, 10*time.Millisecond))
	}
}
