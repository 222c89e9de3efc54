package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"time"
)

// The grid is every workload on every contestant at every size and number of goroutines, and what a store
// costs merely by being there. A store is made, filled, measured in all ways, and gone before the next one is
// made, so that no contestant pays for another's garbage; the contestants take turns round by round, so that
// what disturbs the machine for a while disturbs all.

// A cell is one measurement.
type cell struct {
	workload   string
	entries    int
	goroutines int
}

// What a store costs is put down like a workload, without goroutines.
const (
	bytesPerEntry    = "bytes"
	gcMillis         = "gc"
	gcCPUMillis      = "gc-cpu"
	gcPauseMicros    = "gc-pause"
	backgroundCPU    = "background" // milliseconds of processor time a second
	missing          = "missing"    // of what was filled in, in percent
	evictAllocs      = "allocs"     // an operation of the workload evict, with one goroutine
	atRest           = 0            // goroutines
	idleOfGrid       = 30 * time.Minute
	sweepOfGrid      = time.Second
	backgroundRounds = 3       // it scatters little, and is a wait
	tooManyToEvict   = 200_000 // for a contestant whose eviction looks at all entries
)

// figures are what was measured, a number a round.
type figures map[cell]map[string]*samples

type samples struct {
	values []float64
	hits   []float64 // shares
}

func (f figures) add(c cell, who string, value, hits float64) {
	if f[c] == nil {
		f[c] = make(map[string]*samples)
	}
	if f[c][who] == nil {
		f[c][who] = &samples{}
	}
	s := f[c][who]
	s.values = append(s.values, value)
	s.hits = append(s.hits, hits)
}

// median is 0 where nothing was measured.
func (f figures) median(c cell, who string) float64 {
	if s := f[c][who]; s != nil {
		return median(s.values)
	}
	return 0
}

func measureGrid(p plan, progress io.Writer) figures {
	f := make(figures)
	for _, entries := range p.entries {
		people := newPopulation(entries)
		for round := range p.rounds {
			fmt.Fprintf(progress, "%d entries, round %d of %d\n", entries, round+1, p.rounds)
			for i := range p.contestants {
				who := p.contestants[(i+round)%len(p.contestants)]
				f.measureStore(p, who, people, round)
			}
		}
	}
	return f
}

// measureStore measures all there is to one store of one contestant.
func (f figures) measureStore(p plan, who contestant, people *population, round int) {
	n := people.live
	put := func(what string, value float64) { f.add(cell{what, n, atRest}, who.name, value, 1) }
	smallest, largest := n == p.entries[0], n == p.entries[len(p.entries)-1]

	before := calmHeap()
	without := collect()
	b := fill(who, people, config{maxSize: n, idle: idleOfGrid, sweep: sweepOfGrid})
	defer func() {
		b.s.Close()
		b.s = nil
	}()
	if p.includes(bytesPerEntry) {
		put(bytesPerEntry, (liveHeap()-before)/float64(n))
	}
	if largest && p.includes(gcMillis) {
		with := collect()
		put(gcMillis, millis(with.took-without.took))
		put(gcCPUMillis, millis(with.cpu-without.cpu))
		put(gcPauseMicros, millis(with.pause)*1000)
	}
	b.warm()
	put(missing, 100*b.missing())
	for _, w := range workloads {
		if !p.includes(w.name) || w.smallest && !smallest || who.linear && w.evicts && n > tooManyToEvict {
			continue
		}
		if w.every > 0 {
			b.lineUp()
			runtime.GC() // so that none owes the garbage of another
		}
		for _, goroutines := range p.goroutines {
			did := b.measure(w, goroutines, p.cell)
			f.add(cell{w.name, n, goroutines}, who.name, did.nanosPerOp(), did.hits())
			if w.name == "evict" && goroutines == 1 {
				put(evictAllocs, did.allocsPerOp())
			}
		}
	}
	if largest && round < backgroundRounds && p.includes(backgroundCPU) {
		put(backgroundCPU, background(p.background))
	}
}

// background is the processor time that a store takes while nobody uses it, in milliseconds a second.
func background(watched time.Duration) float64 {
	debug.FreeOSMemory() // or the runtime would be doing that meanwhile
	time.Sleep(watched / 4)
	start := processCPU()
	time.Sleep(watched)
	return millis(processCPU()-start) / watched.Seconds()
}

// missing is the share of what was filled in and is not there.
func (b *bed) missing() float64 {
	gone := 0
	for i := range b.p.live {
		if b.s.Get(b.p.sessions[i].id) == nil {
			gone++
		}
	}
	return float64(gone) / float64(b.p.live)
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
