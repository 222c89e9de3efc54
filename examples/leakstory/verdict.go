package main

import (
	"fmt"
	"slices"
)

// A result is how a contestant did.
type result struct {
	Contestant contestant
	Samples    []sample
	Stopped    bool // before the last round, for its heap had passed plan.StopAt
}

func (r result) last() sample { return r.Samples[len(r.Samples)-1] }

// String says how the story ended for the contestant.
func (r result) String() string {
	last, t := r.last(), r.trend()
	how := fmt.Sprintf("%+.1f MB a round", t.perRound/megabyte)
	if r.Stopped {
		how += ", stopped there"
	}
	return fmt.Sprintf("%-12s  after round %d: %s MB of heap, %d goroutines, %d sessions (%s)",
		r.Contestant.Name, last.Round, mb(last.Heap), last.Goroutines, last.Sessions, how)
}

func (r result) trend() trend {
	heaps := make([]uint64, len(r.Samples))
	for i, s := range r.Samples {
		heaps[i] = s.Heap
	}
	return trendOf(heaps)
}

// A trend compares the heap late in a run to the heap early on. Both are medians, which one slow round does
// not move.
type trend struct {
	early, late uint64
	perRound    float64 // growth, in bytes
}

// trendOf leaves out the first eighth of the rounds, while the first sessions have not yet had the time to
// idle out. The quarter after it is early, the last quarter is late.
func trendOf(heaps []uint64) trend {
	n := len(heaps)
	warmUp, quarter := max(1, n/8), max(1, n/4)
	if n < warmUp+2*quarter {
		return trend{}
	}
	t := trend{early: median(heaps[warmUp : warmUp+quarter]), late: median(heaps[n-quarter:])}
	t.perRound = (float64(t.late) - float64(t.early)) / float64(n-quarter-warmUp)
	return t
}

func median(values []uint64) uint64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// flat reports whether the heap stays where it is. It may be off by a quarter, and by a quarter of what one
// round's sessions gather, for a sweep comes sooner or later on a busy machine. In 20 rounds a leak of one
// session in forty is beyond that.
func (t trend) flat(roundBytes uint64) bool {
	return t.early > 0 && t.late <= t.early+t.early/4+roundBytes/4
}

// A notFlatError tells that our heap is not flat, and why.
type notFlatError struct{ why string }

func (e *notFlatError) Error() string { return "leakstory: NOT FLAT: " + e.why }

// judge returns a *notFlatError if the heap has grown or is beyond its limit.
func (r result) judge(p plan) error {
	refuse := func(format string, args ...any) error {
		return &notFlatError{r.Contestant.Name + ": " + fmt.Sprintf(format, args...)}
	}
	if r.Stopped {
		return refuse("stopped after round %d of %d with %s MB of heap", len(r.Samples), p.Rounds, mb(r.last().Heap))
	}
	if t := r.trend(); !t.flat(p.RoundBytes) {
		return refuse("the heap went from %s MB to %s MB, %+.1f MB a round", mb(t.early), mb(t.late), t.perRound/megabyte)
	}
	for _, s := range r.Samples {
		if p.HeapLimit > 0 && s.Heap > p.HeapLimit {
			return refuse("%s MB of heap after round %d, the limit is %s MB", mb(s.Heap), s.Round, mb(p.HeapLimit))
		}
	}
	return nil
}
