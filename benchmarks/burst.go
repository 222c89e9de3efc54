package main

import (
	"fmt"
	"io"
)

// The burst: a store holds some sessions, very many more come, and all of those are deleted by their owner.
// What it holds then is what it held before; does it take as much memory? There is room for all of them, so
// what a contestant sets aside for its maximal size it has before the burst already.

type burstPlan struct {
	live    int // before and after
	arrives int
}

// A burstResult is what came of one contestant; the heap is in megabytes.
type burstResult struct {
	before, peak, after float64
	entries             int // afterwards, by its own count
}

func measureBursts(p plan, progress io.Writer) map[string]burstResult {
	results := make(map[string]burstResult)
	for _, who := range p.contestants {
		fmt.Fprintf(progress, "%d sessions come and go: %s\n", p.burst.arrives, who.name)
		results[who.name] = comeAndGo(p.burst, who)
	}
	return results
}

func comeAndGo(p burstPlan, who contestant) burstResult {
	const slack = 10 // percent, for those who divide the maximal size among shards
	all := p.live + p.arrives
	empty := calmHeap()
	heap := func() float64 { return (calmHeap() - empty) / (1 << 20) }
	b := &bed{who: who, s: who.make(config{maxSize: all + all*slack/100, idle: idleOfGrid, sweep: sweepOfGrid})}
	defer b.s.Close()
	var r burstResult
	for n := range all {
		if n == p.live {
			b.settle()
			r.before = heap()
		}
		id := numberedID(n)
		b.s.Set(id, &session{id, n})
	}
	b.settle()
	r.peak = heap()
	for n := p.live; n < all; n++ {
		b.s.Delete(numberedID(n))
	}
	b.settle()
	r.after = heap()
	r.entries = b.s.Len()
	return r
}
