package main

import (
	"fmt"
	"io"
	"time"
)

// The lost events: sessions arrive at a steady rate, each is used for a moment, and none is ever deleted,
// for every event that should do so is lost. What has neither timeout nor bound can only grow.

type lostPlan struct {
	perSecond int
	lasts     time.Duration
	idle      time.Duration
	maxSize   int
}

// A lostResult is what came of one contestant.
type lostResult struct {
	peak, after float64 // of the heap, in megabytes; after is a collection later
	entries     int     // at the end, by its own count
	arrived     float64 // sessions a second that it kept up with
	stopped     bool    // at heapLimit
}

const (
	heapLimit = 6 << 30
	lostTick  = 5 * time.Millisecond
)

func measureLost(p plan, progress io.Writer) map[string]lostResult {
	results := make(map[string]lostResult)
	for _, who := range p.contestants {
		fmt.Fprintf(progress, "every event lost: %s\n", who.name)
		results[who.name] = loseEvents(p.lost, who)
	}
	return results
}

func loseEvents(p lostPlan, who contestant) lostResult {
	before := calmHeap()
	s := who.make(config{maxSize: p.maxSize, idle: p.idle, sweep: max(p.idle/4, 100*time.Millisecond)})
	defer s.Close()
	var r lostResult
	start := time.Now()
	n := 0
	for now := start; now.Sub(start) < p.lasts; now = time.Now() {
		due := int(now.Sub(start).Seconds() * float64(p.perSecond))
		for ; n < due && time.Since(now) < 20*lostTick; n++ { // what cannot keep up is still watched
			id := numberedID(n)
			s.Set(id, &session{id, n})
			s.Get(id)
		}
		heap := heapNow()
		r.peak = max(r.peak, heap-before)
		if heap > heapLimit {
			r.stopped = true
			break
		}
		time.Sleep(lostTick)
	}
	r.arrived = float64(n) / time.Since(start).Seconds()
	r.entries = s.Len()
	r.after = liveHeap() - before
	r.peak /= 1 << 20
	r.after /= 1 << 20
	return r
}
