package main

import (
	"regexp"
	"time"
)

// A plan is how much is measured: all of it scales with the time there is.
type plan struct {
	name        string
	entries     []int
	goroutines  []int
	rounds      int           // each contestant once a round
	cell        time.Duration // of one measurement
	background  time.Duration // of watching a store that nobody uses
	expiry      expiryPlan
	burst       burstPlan
	lost        lostPlan
	probe       probePlan
	only        *regexp.Regexp
	contestants []contestant
}

// The plans. Quick is a check that all works; its numbers are not to be quoted.
func planOf(quick, full bool) plan {
	p := plan{
		name:       "default",
		entries:    []int{1_000, 100_000, 1_000_000},
		goroutines: []int{1, 2, 16},
		rounds:     5,
		cell:       40 * time.Millisecond,
		background: time.Second,
		expiry:     expiryPlan{entries: 1_000_000, idle: 3 * time.Second, sweep: 2 * time.Second, patience: 6 * time.Second, watch: time.Second, rounds: 2},
		burst:      burstPlan{live: 10_000, arrives: 1_000_000},
		lost:       lostPlan{perSecond: 100_000, lasts: 5 * time.Second, idle: time.Second, maxSize: 300_000},
		probe:      probePlan{idle: 2 * time.Second, patience: 3 * time.Second, ids: 100_000},
	}
	switch {
	case quick:
		p.name = "quick"
		p.entries = []int{1_000, 50_000}
		p.goroutines = []int{1, 2}
		p.rounds = 3
		p.cell = 5 * time.Millisecond
		p.background = 100 * time.Millisecond
		p.expiry = expiryPlan{entries: 50_000, idle: 600 * time.Millisecond, sweep: 300 * time.Millisecond, patience: 500 * time.Millisecond, watch: 500 * time.Millisecond, rounds: 1}
		p.burst.arrives = 50_000
		p.lost = lostPlan{perSecond: 50_000, lasts: time.Second, idle: 250 * time.Millisecond, maxSize: 25_000}
		p.probe = probePlan{idle: 2 * time.Second, patience: time.Second, ids: 20_000}
	case full:
		p.name = "full"
		p.rounds = 9
		p.cell = 200 * time.Millisecond
		p.background = 10 * time.Second
		p.expiry.rounds = 5
		p.lost = lostPlan{perSecond: 100_000, lasts: time.Minute, idle: 10 * time.Second, maxSize: 3_000_000}
	}
	return p
}

// includes reports whether a workload is wanted.
func (p plan) includes(workload string) bool { return p.only == nil || p.only.MatchString(workload) }

// wantsGrid reports whether anything of the grid is wanted.
func (p plan) wantsGrid() bool {
	for _, w := range workloads {
		if p.includes(w.name) {
			return true
		}
	}
	return p.includes(bytesPerEntry) || p.includes(gcMillis) || p.includes(backgroundCPU)
}
