package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// results are all that a run has found. What was not asked for is nil.
type results struct {
	plan     plan
	took     time.Duration
	verdicts map[string][]verdict
	grid     figures
	expiries map[string]*expiries
	bursts   map[string]burstResult
	lost     map[string]lostResult
	pictures []picture
}

// A page is Markdown under way.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// table writes a row for each contestant that has one.
func (p *page) table(contestants []contestant, header []string, row func(contestant) []string) {
	p.line("| |%s|", strings.Join(header, "|"))
	p.line("|---|%s", strings.Repeat("---|", len(header)))
	for _, who := range contestants {
		if cells := row(who); cells != nil {
			name := who.name
			if name == ours {
				name = "**" + name + "**"
			}
			p.line("|%s|%s|", name, strings.Join(cells, "|"))
		}
	}
	p.line("")
}

func (r results) markdown() string {
	var p page
	p.line("# Results")
	p.line("")
	p.line("Written by `go run ./benchmarks` (the %s run, %v). %s, %s/%s, %s, %d cores.",
		r.plan.name, r.took.Round(time.Second), runtime.Version(), runtime.GOOS, runtime.GOARCH, cpuModel(), runtime.NumCPU())
	p.line("Every contestant is set up for the same job: string ids of 36 bytes, pointer values, an idle timeout where")
	p.line("there is one, a maximal size where there is one. All are called through the same small interface, over the")
	p.line("same stream of keys. In brackets stands the ratio to sessionmap: above 1 is slower, or more.")
	p.line("")
	if r.plan.name == "quick" {
		p.line("This is a quick check that all works. Its numbers are too rough to be quoted.")
		p.line("")
	}
	r.goalTable(&p)
	r.summary(&p)
	r.correctness(&p)
	r.gridTables(&p)
	r.costTables(&p)
	r.expiryTable(&p)
	r.burstTable(&p)
	r.lostTable(&p)
	return p.String()
}

func (r results) summary(p *page) {
	p.line("## The contestants")
	p.line("")
	p.table(r.plan.contestants, []string{"version", "probes passed", "time an operation, mean ratio", "faster than sessionmap in", "beside its numbers"},
		func(who contestant) []string {
			return []string{version(who), r.passed(who), r.meanRatio(who), r.fasterIn(who), who.notes}
		})
	if len(r.pictures) > 0 {
		for _, picture := range r.pictures {
			p.line("![%s](%s)", picture.title, picture.file)
			p.line("")
		}
	}
}

func (r results) passed(who contestant) string {
	if r.verdicts == nil {
		return ""
	}
	n := 0
	for _, v := range r.verdicts[who.name] {
		if v.ok {
			n++
		}
	}
	return fmt.Sprintf("%d of %d", n, len(probes))
}

// timed are the cells of the grid that are about time.
func (r results) timed() []cell {
	var cells []cell
	for _, w := range workloads {
		for _, n := range r.plan.entries {
			for _, g := range r.plan.goroutines {
				if c := (cell{w.name, n, g}); r.grid[c] != nil {
					cells = append(cells, c)
				}
			}
		}
	}
	return cells
}

func (r results) meanRatio(who contestant) string {
	sum, n := 0.0, 0
	for _, c := range r.timed() {
		a, b := r.grid.median(c, who.name), r.grid.median(c, ours)
		if a > 0 && b > 0 {
			sum += math.Log(a / b)
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", math.Exp(sum/float64(n)))
}

// clearly is by how much a median has to be lower to count: cells scatter.
const clearly = 0.1

func (r results) fasterIn(who contestant) string {
	n, of := 0, 0
	for _, c := range r.timed() {
		a, b := r.grid.median(c, who.name), r.grid.median(c, ours)
		if a > 0 && b > 0 {
			of++
			if a < b*(1-clearly) {
				n++
			}
		}
	}
	if of == 0 || who.name == ours {
		return ""
	}
	return fmt.Sprintf("%d of %d cells", n, of)
}

func (r results) correctness(p *page) {
	if r.verdicts == nil {
		return
	}
	p.line("## What is right")
	p.line("")
	var names []string
	for _, probe := range probes {
		names = append(names, probe.name)
	}
	p.table(r.plan.contestants, names, func(who contestant) []string {
		var cells []string
		for _, v := range r.verdicts[who.name] {
			if v.ok {
				cells = append(cells, "yes")
			} else {
				cells = append(cells, "**no**: "+v.detail)
			}
		}
		return cells
	})
	for _, probe := range probes {
		p.line("- %s: %s", probe.name, probe.asks)
	}
	p.line("")
}

func (r results) gridTables(p *page) {
	if len(r.timed()) == 0 {
		return
	}
	p.line("## Time an operation")
	p.line("")
	p.line("Nanoseconds, all goroutines together: elapsed time by operations. Median of %d rounds, in which the", r.plan.rounds)
	p.line("contestants take turns. Half of the rounds of a cell lie within %.0f %% of each other (the median of all cells;", 100*r.typicalScatter())
	p.line("one cell in ten scatters by %.0f %% or more). Where a contestant finds less than sessionmap does, because it has", 100*r.wideScatter())
	p.line("dropped sessions that should be there, the share of its hits is given: a miss is cheaper.")
	p.line("")
	for _, w := range workloads {
		var cells []cell
		var header []string
		for _, c := range r.timed() {
			if c.workload == w.name {
				cells = append(cells, c)
				header = append(header, fmt.Sprintf("%s, %d gor.", short(c.entries), c.goroutines))
			}
		}
		if len(cells) == 0 {
			continue
		}
		p.line("### %s", w.title)
		p.line("")
		p.line("%s%s", w.about, callerKeepsBound(w))
		p.line("")
		p.table(r.plan.contestants, append(header, "beside it"), func(who contestant) []string {
			var row []string
			for _, c := range cells {
				row = append(row, r.timeOf(c, who))
			}
			return append(row, who.notes)
		})
	}
}

func callerKeepsBound(w workload) string {
	if w.every == 0 || w.name == "churn" {
		return ""
	}
	return " Where there is no bound the caller deletes the oldest session, which costs no search here."
}

func (r results) timeOf(c cell, who contestant) string {
	s := r.grid[c][who.name]
	if s == nil {
		return "too slow"
	}
	text := figure(median(s.values))
	expected := 1.0
	if who.name != ours {
		text += fmt.Sprintf(" (%s)", ratio(median(s.values)/r.grid.median(c, ours)))
		expected = median(r.grid[c][ours].hits)
	}
	if hits := median(s.hits); hits < expected-0.005 {
		text += fmt.Sprintf(", %.0f %% hits", 100*hits)
	}
	return text
}

func (r results) costTables(p *page) {
	largest := r.plan.entries[len(r.plan.entries)-1]
	var header []string
	var cells []cell
	add := func(c cell, title string) {
		if r.grid[c] != nil {
			cells, header = append(cells, c), append(header, title)
		}
	}
	for _, n := range r.plan.entries {
		add(cell{bytesPerEntry, n, atRest}, "bytes an entry, "+short(n))
	}
	add(cell{gcMillis, largest, atRest}, "GC, ms")
	add(cell{gcCPUMillis, largest, atRest}, "GC, CPU ms")
	add(cell{gcPauseMicros, largest, atRest}, "its longest pause, µs")
	add(cell{backgroundCPU, largest, atRest}, "background CPU, ms a second")
	add(cell{evictAllocs, largest, atRest}, "allocations an insert with eviction")
	if len(cells) == 0 {
		return
	}
	for _, n := range r.plan.entries {
		add(cell{missing, n, atRest}, "missing, "+short(n))
	}
	p.line("## What being there costs")
	p.line("")
	p.line("Heap bytes an entry, without the id and the value themselves. What a full garbage collection takes with a store of")
	p.line("%s sessions more than without, and the processor time of that store in a second in which nobody uses it, looking for", short(largest))
	p.line("expired entries each %v where that can be set. Missing is what of the sessions filled in is not there afterwards.", sweepOfGrid)
	p.line("")
	p.table(r.plan.contestants, append(header, "beside it"), func(who contestant) []string {
		var row []string
		for _, c := range cells {
			value := r.grid.median(c, who.name)
			switch {
			case r.grid[c][who.name] == nil:
				row = append(row, "")
			case c.workload == missing:
				row = append(row, fmt.Sprintf("%.1f %%", value))
			case c.workload == bytesPerEntry && who.name != ours:
				row = append(row, fmt.Sprintf("%s (%s)", figure(value), ratio(value/r.grid.median(c, ours))))
			default:
				row = append(row, figure(value))
			}
		}
		return append(row, who.notes)
	})
}

func (r results) expiryTable(p *page) {
	if r.expiries == nil {
		return
	}
	p.line("## %s sessions expire at once", short(r.plan.expiry.entries))
	p.line("")
	p.line("They are set one after the other and idle out after %v, as fast as they came; a sweep each %v, where that can be set.", r.plan.expiry.idle, r.plan.expiry.sweep)
	p.line("Meanwhile %d others are in use: a Get and then a Set each %v. A Get counts from when it was due, so that a stall counts", busySessions, busyEvery)
	p.line("for all whom it holds up; a Set from its call. Milliseconds, median of %d rounds. Removed is when, after the last deadline, the last has been removed, and told where there is a callback; removing leaves the wait for the sweep out.", r.plan.expiry.rounds)
	p.line("")
	header := []string{"Get p99.9", "Get worst", "Set p99.9", "Set worst", "removed after", "of that, removing", "never removed", "heap afterwards, MB", "Gets of sessions in use that missed", "beside it"}
	p.table(r.plan.contestants, header, func(who contestant) []string {
		e := r.expiries[who.name]
		if e == nil {
			return nil
		}
		base := r.expiries[ours]
		worst := func(of func(*expiries) []float64) string {
			text := figure(median(of(e)))
			if base != nil && who.name != ours {
				text += fmt.Sprintf(" (%s)", ratio(median(of(e))/median(of(base))))
			}
			return text
		}
		removed := figure(median(e.reclaimed))
		if e.left > 0 {
			removed = "not in " + r.plan.expiry.patience.String()
		}
		removing := ""
		if len(e.removing) > 0 {
			removing = figure(median(e.removing))
		}
		return []string{
			worst(func(e *expiries) []float64 { return e.getTail }),
			worst(func(e *expiries) []float64 { return e.getMax }),
			worst(func(e *expiries) []float64 { return e.setTail }),
			worst(func(e *expiries) []float64 { return e.setMax }),
			removed,
			removing,
			fmt.Sprintf("%.1f %%", e.left),
			figure(median(e.heap)),
			fmt.Sprint(e.lost),
			who.notes,
		}
	})
	for _, who := range r.plan.contestants {
		if !who.expires {
			p.line("- %s: left out, it has no timeout.", who.name)
		} else if who.neverSweeps {
			p.line("- %s: left out, it never removes what has expired.", who.name)
		}
	}
	p.line("")
}

func (r results) burstTable(p *page) {
	if r.bursts == nil {
		return
	}
	p.line("## %s sessions come and go", short(r.plan.burst.arrives))
	p.line("")
	p.line("A store holds %s sessions; so many more are set, and each of these is deleted by a call. The heap after a garbage collection,", short(r.plan.burst.live))
	p.line("ids and values included, in MB. There is room for all, which some set aside from the start.")
	p.line("")
	header := []string{"before", "at the peak", "after", "after / before", "entries afterwards", "beside it"}
	p.table(r.plan.contestants, header, func(who contestant) []string {
		b, ok := r.bursts[who.name]
		if !ok {
			return nil
		}
		return []string{figure(b.before), figure(b.peak), figure(b.after), fmt.Sprintf("%.2f", b.after/b.before), fmt.Sprint(b.entries), who.notes}
	})
}

func (r results) lostTable(p *page) {
	if r.lost == nil {
		return
	}
	l := r.plan.lost
	p.line("## %s sessions a second, every event lost", short(l.perSecond))
	p.line("")
	p.line("For %v, each session set and read once and never deleted, with an idle timeout of %v and a maximal size of %s.", l.lasts, l.idle, short(l.maxSize))
	p.line("The heap counts ids and values too.")
	p.line("")
	p.table(r.plan.contestants, []string{"peak heap, MB", "heap after a collection, MB", "entries at the end", "sessions a second", "beside it"},
		func(who contestant) []string {
			one, ok := r.lost[who.name]
			if !ok {
				return nil
			}
			peak := figure(one.peak)
			if base := r.lost[ours].peak; base > 0 && who.name != ours {
				peak += fmt.Sprintf(" (%s)", ratio(one.peak/base))
			}
			if one.stopped {
				peak += ", stopped there"
			}
			return []string{peak, figure(one.after), fmt.Sprint(one.entries), figure(one.arrived), who.notes}
		})
}

func (r results) typicalScatter() float64 { return quantileOf(r.scatters(), 0.5) }
func (r results) wideScatter() float64    { return quantileOf(r.scatters(), 0.9) }

func (r results) scatters() []float64 {
	var all []float64
	for _, c := range r.timed() {
		for _, s := range r.grid[c] {
			all = append(all, scatter(s.values))
		}
	}
	return all
}

// version is what the program was built with.
func version(who contestant) string {
	if who.module == "" {
		return ""
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == who.module {
				return strings.TrimSuffix(dep.Version, "+incompatible")
			}
		}
	}
	return "?"
}

// figure writes a number with the digits that can be trusted.
func figure(v float64) string {
	switch {
	case v >= 99.5 || v <= -99.5:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.95 || v <= -9.95 || v == 0:
		return fmt.Sprintf("%.0f", v)
	case v >= 1:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

func ratio(v float64) string {
	if v >= 9.95 {
		return fmt.Sprintf("%.0f×", v)
	}
	return fmt.Sprintf("%.2g×", v)
}

func short(n int) string {
	switch {
	case n >= 1_000_000 && n%1_000_000 == 0:
		return fmt.Sprintf("%dM", n/1_000_000)
	case n >= 1000 && n%1000 == 0:
		return fmt.Sprintf("%dk", n/1000)
	}
	return fmt.Sprint(n)
}

// cpuModel is what Linux calls the processor, or its architecture.
func cpuModel() string {
	info, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer info.Close()
	for lines := bufio.NewScanner(info); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
