package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A very small run of everything, of ours and two that do less. What it measures is not looked at: only what
// holds on any machine, however slow.
func TestRun(t *testing.T) {
	p := plan{
		name: "tiny", entries: []int{100, 200}, goroutines: []int{1, 2}, rounds: 1,
		cell: time.Millisecond, background: time.Millisecond,
		expiry: expiryPlan{entries: 2000, idle: 200 * time.Millisecond, sweep: 50 * time.Millisecond, patience: time.Minute, rounds: 1},
		burst:  burstPlan{live: 100, arrives: 1000},
		lost:   lostPlan{perSecond: 1000, lasts: 100 * time.Millisecond, idle: 50 * time.Millisecond, maxSize: 50},
	}
	if testing.Short() {
		p.entries = p.entries[:1]
	}
	for _, who := range contestants {
		if who.name == ours || who.name == "mutex+map+list" || who.name == "sync.Map" {
			p.contestants = append(p.contestants, who)
		}
	}
	r := results{
		plan: p, grid: measureGrid(p, io.Discard), expiries: measureExpiries(p, io.Discard),
		bursts: measureBursts(p, io.Discard), lost: measureLost(p, io.Discard),
	}
	if left := r.expiries[ours].left; left > 0 {
		t.Errorf("sessionmap leaves %v %% of what has expired", left)
	}
	if b := r.bursts[ours]; b.entries != p.burst.live {
		t.Errorf("sessionmap holds %d sessions after the burst, want %d", b.entries, p.burst.live)
	}
	if l := r.lost[ours]; l.entries > p.lost.maxSize {
		t.Errorf("sessionmap holds %d sessions, want at most %d", l.entries, p.lost.maxSize)
	}
	for _, c := range r.timed() {
		for who, s := range r.grid[c] {
			// With several, one may be held up until others have pushed out what it is about to read.
			if hits := median(s.hits); c.goroutines == 1 && hits < 1 {
				t.Errorf("%s: %s hits %v, want all", c, who, hits)
			}
		}
	}

	dir := t.TempDir()
	if err := tell(&r, dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	titles := []string{"## Goals"}
	for _, w := range workloads {
		titles = append(titles, "### "+w.title)
	}
	for _, title := range titles {
		if !strings.Contains(string(text), title+"\n") {
			t.Errorf("RESULTS.md lacks %q", title)
		}
	}
}

// madeUp are the results of a run in which each cell took ours 100 ns, and the others as many as given.
func madeUp(nanos map[string]float64) results {
	p := planOf(false, false)
	r := results{plan: p, grid: make(figures), expiries: map[string]*expiries{
		ours: {reclaimed: []float64{900}, removing: []float64{150}, getTail: []float64{2}, getMax: []float64{3}, setTail: []float64{1}, setMax: []float64{3}},
	}}
	for _, who := range contestants {
		took := nanos[who.name]
		if who.name == ours {
			took = 100
		}
		if took == 0 {
			continue
		}
		r.plan.contestants = append(r.plan.contestants, who)
		for _, n := range p.entries {
			r.grid.add(cell{bytesPerEntry, n, atRest}, who.name, took, 1)
			for _, w := range workloads {
				for _, g := range p.goroutines {
					r.grid.add(cell{w.name, n, g}, who.name, took, 1)
				}
			}
		}
	}
	return r
}

func TestGoals(t *testing.T) {
	r := madeUp(map[string]float64{"otter": 200, "mutex+map+list": 99, "xsync.Map": 20, "phuslu/lru": 120})
	got := make(map[string]bool)
	for _, g := range r.goals() {
		what, _, _ := strings.Cut(g.what, ":")
		got[what+": "+g.measured] = g.met
	}
	for want, met := range map[string]bool{
		"Get: 2.00× in the mean, 2.00× in the worst cell (Get, uniform, 1k, 1 gor.)":                          true,
		"Get: 0.99× in the mean, 0.99× in the worst cell (Get, uniform, 1k, 1 gor.)":                          false,
		"Get, 1k: 5.00× in the mean, 5.00× in the worst cell (Get, uniform, 1k, 1 gor.)":                      false,
		"Insert with eviction: 0.50× in the mean, 0.50× in the worst cell (Insert with eviction, 1k, 1 gor.)": false,
		"Overwrite, delete and insert, traffic: behind one in 36 of 36 cells":                                 false,
		"Heap, 1M: 100": true,
		"1M sessions expire: 150 ms in the worst round; 900 from the last deadline, the wait for the sweep included": true,
		"1M sessions expire: Get 2.0 ms, Set 1.0 ms":                                                                 false,
	} {
		if has, ok := got[want]; !ok || has != met {
			t.Errorf("%s: met is %v (present: %v), want %v", want, has, ok, met)
		}
	}

	r.grid[cell{"get-zipf", 1000, 2}]["otter"].values = []float64{149}
	for _, g := range r.readGoals()[:1] {
		if g.met || !strings.Contains(g.measured, "1.49× in the worst cell (Get, Zipf, 1k, 2 gor.)") {
			t.Errorf("with one cell below 1.5: %+v", g)
		}
	}
	if ahead := r.ahead(cell{"churn", 1000, 1}); len(ahead) != 1 || ahead[0] != "mutex+map+list 0.99×" {
		t.Errorf("ahead: %q, want mutex+map+list alone", ahead)
	}
}

func TestPictures(t *testing.T) {
	r := madeUp(map[string]float64{"otter": 200})
	dir := t.TempDir()
	if err := tell(&r, dir); err != nil {
		t.Fatal(err)
	}
	if len(r.pictures) != 4 {
		t.Errorf("%d pictures, want 4", len(r.pictures))
	}
	for _, picture := range r.pictures {
		if _, err := os.Stat(filepath.Join(dir, picture.file)); err != nil {
			t.Error(err)
		}
	}
}

func TestHistogramQuantile(t *testing.T) {
	var h histogram
	for i := range 10_000 {
		h.add(time.Duration(i + 1))
	}
	for q, want := range map[float64]float64{0.5: 5_000, 0.999: 9_990, 1: 10_000} {
		if got := float64(h.quantile(q)); got < want || got > want*1.13 {
			t.Errorf("quantile %v is %v, want %v or up to an eighth more", q, got, want)
		}
	}
}
