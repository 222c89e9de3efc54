package main

import (
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"time"
)

// The mass expiry: a million sessions set one after the other and never used again, so that they expire as
// fast as they came, while a thousand others go on being used. How long do those wait, and when is the memory
// back?

type expiryPlan struct {
	entries  int
	idle     time.Duration
	sweep    time.Duration // longer than filling takes, so that a sweep finds most of it
	patience time.Duration // after the last deadline
	watch    time.Duration // after the last deadline, at the least
	rounds   int
}

// expiries are the results of one contestant, a number a round.
type expiries struct {
	reclaimed       []float64 // milliseconds from the last deadline to the last removal; patience if not all are
	removing        []float64 // milliseconds of that from the first removal on: the rest was waiting for a sweep
	left            float64   // the share never removed, in percent; the most of all rounds
	getTail, getMax []float64 // milliseconds
	setTail, setMax []float64
	heap            []float64 // megabytes afterwards
	lost            int       // Gets of the sessions in use that found nothing, in all rounds
}

const (
	busySessions = 1_000
	busyEvery    = 20 * time.Microsecond // one Get and one Set of a session in use
)

func measureExpiries(p plan, progress io.Writer) map[string]*expiries {
	results := make(map[string]*expiries)
	people := newPopulation(p.expiry.entries)
	for round := range p.expiry.rounds {
		for i := range p.contestants {
			who := p.contestants[(i+round)%len(p.contestants)]
			if !who.expires || who.neverSweeps {
				continue
			}
			fmt.Fprintf(progress, "%d sessions expire: %s\n", p.expiry.entries, who.name)
			if results[who.name] == nil {
				results[who.name] = &expiries{}
			}
			results[who.name].measure(p.expiry, who, people)
		}
	}
	return results
}

func (r *expiries) measure(p expiryPlan, who contestant, people *population) {
	before := calmHeap()
	var removed, lastDeadline, firstRemoval, lastRemoval atomic.Int64
	c := config{maxSize: p.entries + busySessions, idle: p.idle, sweep: p.sweep}
	if who.callback {
		c.onRemove = func(s *session) {
			if s.n >= p.entries {
				return // it is one in use
			}
			// Asking for the time at each would take longer than the removals.
			if n := removed.Add(1); n%64 == 0 || n >= int64(p.entries) {
				now := time.Now().UnixNano()
				lastRemoval.Store(now)
				if by := lastDeadline.Load(); by != 0 && now > by {
					firstRemoval.CompareAndSwap(0, now)
				}
			}
		}
	}
	start := time.Now()
	b := fill(who, people, c)
	defer b.s.Close()
	filled := time.Now()
	busy := people.sessions[people.live : people.live+min(busySessions, people.live)]
	for i := range busy {
		b.s.Set(busy[i].id, &busy[i])
	}
	runtime.GC()

	// What there is to remove: a contestant may have dropped some of it already, and told.
	var gets, sets histogram
	end := filled.Add(p.idle)
	lastDeadline.Store(end.UnixNano())
	limit := end.Add(p.patience)
	settled := end.Add(p.watch)
	recordFrom := start.Add(p.idle)
	due := time.Now()
	done := false
	for i := 0; ; i++ {
		s := &busy[i%len(busy)]
		for time.Now().Before(due) { // no sleep is that short
		}
		found := b.s.Get(s.id) != nil
		got := time.Now()
		b.s.Set(s.id, s)
		set := time.Now()
		if !found {
			r.lost++
		}
		if due.After(recordFrom) {
			gets.add(got.Sub(due)) // from when it was due, or a stall would count once
			sets.add(set.Sub(got))
		}
		due = due.Add(busyEvery)
		if i%1024 == 0 && set.After(end) {
			if !done && !who.callback {
				done = b.s.Len() <= len(busy)
				lastRemoval.Store(set.UnixNano())
			}
			if who.callback {
				done = removed.Load() >= int64(p.entries)
			}
			if done && set.After(settled) || set.After(limit) {
				break
			}
		}
	}
	took := p.patience
	if done {
		took = max(0, time.Duration(lastRemoval.Load()-end.UnixNano()))
	} else if who.callback {
		r.left = max(r.left, 100*(1-float64(removed.Load())/float64(p.entries)))
	} else {
		r.left = max(r.left, 100*float64(b.s.Len()-len(busy))/float64(p.entries))
	}
	r.reclaimed = append(r.reclaimed, millis(took))
	if done && who.callback {
		var removing time.Duration
		if first := firstRemoval.Load(); first != 0 { // else all went before the last deadline was over
			removing = time.Duration(lastRemoval.Load() - first)
		}
		r.removing = append(r.removing, millis(removing))
	}
	r.getTail = append(r.getTail, millis(gets.quantile(0.999)))
	r.getMax = append(r.getMax, millis(gets.worst))
	r.setTail = append(r.setTail, millis(sets.quantile(0.999)))
	r.setMax = append(r.setMax, millis(sets.worst))
	r.heap = append(r.heap, (calmHeap()-before)/(1<<20))
}
