package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// The goals are what sessionmap is to reach, each beside what this very run measured. One that is about
// several cells is met where it is met in the worst of them, scatter or not. What was not measured has no row.

type goal struct {
	what, measured string
	met            bool
}

func (r results) goals() []goal {
	return slices.Concat(r.readGoals(), r.writeGoals(), r.memoryGoals(), r.backgroundGoals())
}

func (r results) readGoals() []goal {
	var all []goal
	gets := r.cellsOf("get-uniform", "get-zipf")
	size := short(r.plan.entries[0])
	if c, ok := r.compare("otter", ours, gets); ok {
		all = append(all, goal{"Get: twice the throughput of otter, and 1.5 times in every cell", c.leastText(), c.mean() >= 2 && c.least >= 1.5})
	}
	if c, ok := r.compare("mutex+map+list", ours, gets); ok {
		all = append(all, goal{"Get: in no cell less throughput than mutex+map+list", c.leastText(), c.least >= 1})
	}
	if c, ok := r.compare(ours, "xsync.Map", r.inSmallest(gets)); ok {
		all = append(all, goal{"Get, " + size + ": at most 3.5 times the time of xsync.Map", c.mostText(), c.most <= 3.5})
	}
	if c, ok := r.compare(oursCoarse, "phuslu/lru", r.inSmallest(gets)); ok {
		all = append(all, goal{"Get with the coarse clock, " + size + ": less time than phuslu/lru", c.mostText(), c.most < 1})
	}
	if c, ok := r.compare("otter coarse", oursCoarse, gets); ok {
		all = append(all, goal{"Get with the coarse clock: 1.5 times the throughput of otter with its own", c.leastText(), c.least >= 1.5})
	}
	if c, ok := r.scale(gets, 1, 2); ok {
		all = append(all, goal{"Get: 1.7 times the throughput with 2 goroutines as with 1", c.leastText(), c.least >= 1.7})
	}
	most := slices.Max(r.plan.goroutines)
	if c, ok := r.scale(r.cellsOf("hot"), 1, most); ok && most > 1 {
		what := fmt.Sprintf("Get of one hot session, %d goroutines: no collapse, which would be less than half the throughput of 1", most)
		all = append(all, goal{what, c.leastText(), c.least >= 0.5})
	}
	return all
}

func (r results) writeGoals() []goal {
	var all []goal
	evictions := r.cellsOf("evict")
	if c, ok := r.compare(ours, "mutex+map+list", evictions); ok {
		all = append(all, goal{"Insert with eviction: at most 0.6 times the time of mutex+map+list", c.mostText(), c.most <= 0.6})
	}
	if c, ok := r.compare(ours, "otter", evictions); ok {
		all = append(all, goal{"Insert with eviction: at most 0.45 times the time of otter", c.mostText(), c.most <= 0.45})
	}
	if allocs, ok := r.atRest(evictAllocs); ok {
		all = append(all, goal{"Insert with eviction: at most 1 allocation", figure(allocs), allocs <= 1})
	}
	writes := r.cellsOf("overwrite", "churn", "mixed-90", "mixed-50")
	if len(writes) > 0 && slices.ContainsFunc(r.plan.contestants, contestant.peer) {
		behind := 0
		for _, c := range writes {
			if len(r.ahead(c)) > 0 {
				behind++
			}
		}
		all = append(all, goal{"Overwrite, delete and insert, traffic: ahead of every peer", fmt.Sprintf("behind one in %d of %d cells", behind, len(writes)), behind == 0})
	}
	return all
}

func (r results) memoryGoals() []goal {
	var all []goal
	size := short(slices.Max(r.plan.entries))
	if bytes, ok := r.atRest(bytesPerEntry); ok {
		all = append(all, goal{"Heap, " + size + ": at most 122 bytes an entry", figure(bytes), bytes <= 122})
	}
	if took, ok := r.atRest(gcMillis); ok {
		all = append(all, goal{"Garbage collection, " + size + ": less than 127 ms more", figure(took) + " ms", took < 127})
	}
	if b, ok := r.bursts[ours]; ok {
		share := b.after / b.before
		what := fmt.Sprintf("After a burst of %s sessions: the heap within 10 %% of what it was", short(r.plan.burst.arrives))
		all = append(all, goal{what, fmt.Sprintf("%.2f times: %s MB before, %s after", share, figure(b.before), figure(b.after)), share <= 1.1})
	}
	return all
}

func (r results) backgroundGoals() []goal {
	var all []goal
	if e := r.expiries[ours]; e != nil {
		size := short(r.plan.expiry.entries)
		removing := goal{what: size + " sessions expire: all removed within 200 ms of the sweep's start", measured: "not all are removed"}
		if e.left == 0 {
			took := slices.Max(e.removing)
			removing.measured = fmt.Sprintf("%s ms in the worst round; %s from the last deadline, the wait for the sweep included", figure(took), figure(slices.Max(e.reclaimed)))
			removing.met = took <= 200
		}
		gets, sets := median(e.getTail), median(e.setTail)
		waiting := fmt.Sprintf("Get %s ms, Set %s ms", figure(gets), figure(sets))
		all = append(all, removing, goal{size + " sessions expire: Get and Set at most 1 ms at p99.9", waiting, max(gets, sets) <= 1})
	}
	if cpu, ok := r.atRest(backgroundCPU); ok {
		// What the process itself takes, with a store that does nothing by itself, is no part of it.
		process := r.grid.median(cell{backgroundCPU, slices.Max(r.plan.entries), atRest}, "xsync.Map")
		const millisOfCore = 1000
		all = append(all, goal{"Background, " + short(slices.Max(r.plan.entries)) + ": under 0.5 % of one core more than with xsync.Map, which has none",
			fmt.Sprintf("%.2f %%; %.2f %% with xsync.Map", 100*(cpu-process)/millisOfCore, 100*process/millisOfCore), cpu-process < 0.005*millisOfCore})
	}
	if verdicts := r.verdicts[ours]; verdicts != nil {
		failing := func(v verdict) bool { return !v.ok }
		all = append(all, goal{"Every probe passed", r.passed(contestant{name: ours}), !slices.ContainsFunc(verdicts, failing)})
	}
	return all
}

// cellsOf are the timed cells of some workloads.
func (r results) cellsOf(names ...string) []cell {
	return slices.DeleteFunc(r.timed(), func(c cell) bool { return !slices.Contains(names, c.workload) })
}

func (r results) inSmallest(cells []cell) []cell {
	return slices.DeleteFunc(slices.Clone(cells), func(c cell) bool { return c.entries != r.plan.entries[0] })
}

// atRest is what our store of the largest size costs.
func (r results) atRest(what string) (value float64, ok bool) {
	s := r.grid[cell{what, slices.Max(r.plan.entries), atRest}][ours]
	if s == nil {
		return 0, false
	}
	return median(s.values), true
}

// ahead names the peers that are faster than ours in a cell, with the ratio of their time to ours.
func (r results) ahead(c cell) []string {
	var names []string
	us := r.grid.median(c, ours)
	for _, who := range r.plan.contestants {
		if nanos := r.grid.median(c, who.name); who.peer() && nanos > 0 && nanos < us {
			names = append(names, fmt.Sprintf("%s %s", who.name, ratio(nanos/us)))
		}
	}
	return names
}

// A comparison is of two times in some cells: the first in units of the second.
type comparison struct {
	logs            float64 // the sum of the logarithms
	least, most     float64
	leastAt, mostAt cell
	cells           int
}

func (c *comparison) add(at cell, first, second float64) {
	if first <= 0 || second <= 0 {
		return // one of them was not measured
	}
	times := first / second
	if c.cells == 0 || times < c.least {
		c.least, c.leastAt = times, at
	}
	if c.cells == 0 || times > c.most {
		c.most, c.mostAt = times, at
	}
	c.cells++
	c.logs += math.Log(times)
}

// mean is the geometric one.
func (c comparison) mean() float64 { return math.Exp(c.logs / float64(c.cells)) }

func (c comparison) leastText() string { return c.text(c.least, c.leastAt) }
func (c comparison) mostText() string  { return c.text(c.most, c.mostAt) }

func (c comparison) text(worst float64, at cell) string {
	if c.cells == 1 {
		return fmt.Sprintf("%.2f×", worst)
	}
	return fmt.Sprintf("%.2f× in the mean, %.2f× in the worst cell (%s)", c.mean(), worst, at)
}

// String says where in the tables a cell is.
func (c cell) String() string {
	title := c.workload
	for _, w := range workloads {
		if w.name == c.workload {
			title = w.title
		}
	}
	return fmt.Sprintf("%s, %s, %d gor.", title, short(c.entries), c.goroutines)
}

// compare reports how many times the time of another contestant one takes.
func (r results) compare(one, other string, cells []cell) (c comparison, ok bool) {
	for _, at := range cells {
		c.add(at, r.grid.median(at, one), r.grid.median(at, other))
	}
	return c, c.cells > 0
}

// scale reports how many times the throughput ours has with more goroutines.
func (r results) scale(cells []cell, from, to int) (c comparison, ok bool) {
	for _, at := range cells {
		if at.goroutines == to {
			c.add(at, r.grid.median(cell{at.workload, at.entries, from}, ours), r.grid.median(at, ours))
		}
	}
	return c, c.cells > 0
}

func (r results) goalTable(p *page) {
	goals := r.goals()
	if len(goals) == 0 {
		return
	}
	p.line("## Goals")
	p.line("")
	p.line("What sessionmap is to reach, and what this run measured. A goal about several cells is met if the worst of them does;")
	p.line("a cell has a workload, a number of sessions and a number of goroutines (gor.). The goals for 1M sessions are held")
	p.line("against the largest store of the run.")
	p.line("")
	p.line("|goal|measured| |")
	p.line("|---|---|---|")
	for _, g := range goals {
		verdict := "**not met**"
		if g.met {
			verdict = "met"
		}
		p.line("|%s|%s|%s|", g.what, g.measured, verdict)
	}
	p.line("")
	var behind []string
	for _, c := range r.cellsOf("overwrite", "churn", "mixed-90", "mixed-50") {
		if names := r.ahead(c); len(names) > 0 {
			behind = append(behind, fmt.Sprintf("- %s: %s", c, strings.Join(names, ", ")))
		}
	}
	if len(behind) > 0 {
		p.line("Peers ahead of sessionmap, with the ratio of their time to its. The floors are not peers; the hits of those who drop")
		p.line("sessions stand in the tables below.")
		p.line("")
		p.line("%s", strings.Join(behind, "\n"))
		p.line("")
	}
}
