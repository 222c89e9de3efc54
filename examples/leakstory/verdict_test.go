package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var judged = plan{Rounds: 20, RoundBytes: 100 * megabyte}

// resultOf is a run in which our heap had these sizes, in MB.
func resultOf(rounds int, heap func(round int) float64) result {
	r := result{Contestant: contestants[len(contestants)-1]}
	for round := 1; round <= rounds; round++ {
		r.Samples = append(r.Samples, sample{Round: round, Heap: uint64(heap(round) * megabyte), Goroutines: round, RSS: megabyte})
	}
	return r
}

func TestFlat(t *testing.T) {
	for name, heap := range map[string]func(round int) float64{
		"level":              func(int) float64 { return 30 },
		"falling":            func(round int) float64 { return 100 - float64(round) },
		"swinging by a half": func(round int) float64 { return 30 + 15*float64(round%2) },
		"one slow round":     func(round int) float64 { return 30 + 300*float64(round/20) },
		"warming up":         func(round int) float64 { return min(30, 15*float64(round)) },
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, resultOf(judged.Rounds, heap).judge(judged))
		})
	}
}

func TestNotFlat(t *testing.T) {
	for name, heap := range map[string]func(round int) float64{
		"every session stays":      func(round int) float64 { return 100 * float64(round) },
		"a tenth of each stays":    func(round int) float64 { return 30 + 10*float64(round) },
		"one session in twenty":    func(round int) float64 { return 30 + 5*float64(round) },
		"grows from the 12th on":   func(round int) float64 { return 30 + 10*float64(max(0, round-12)) },
		"doubled, and stays there": func(round int) float64 { return 60 + 60*float64(min(1, round/10)) },
	} {
		t.Run(name, func(t *testing.T) {
			err := resultOf(judged.Rounds, heap).judge(judged)
			var notFlat *notFlatError
			require.ErrorAs(t, err, &notFlat)
			require.ErrorContains(t, err, "NOT FLAT: sessionmap: the heap went from ")
		})
	}
}

func TestNotFlatWithFewRounds(t *testing.T) {
	p := quickPlan
	grows := resultOf(p.Rounds, func(round int) float64 { return 20 * float64(round) })
	require.Error(t, grows.judge(p))
	level := resultOf(p.Rounds, func(int) float64 { return 10 })
	require.NoError(t, level.judge(p))
}

func TestStoppedIsNotFlat(t *testing.T) {
	r := resultOf(6, func(int) float64 { return 30 })
	r.Stopped = true
	require.ErrorContains(t, r.judge(judged), "stopped after round 6 of 20 with 30 MB of heap")
}

func TestBeyondTheLimitIsNotFlat(t *testing.T) {
	p := judged
	p.HeapLimit = 500 * megabyte
	r := resultOf(p.Rounds, func(round int) float64 { return 450 + 60*float64(round/20) })
	require.ErrorContains(t, r.judge(p), "510 MB of heap after round 20, the limit is 500 MB")
}

func TestTooFewRoundsAreNoTrend(t *testing.T) {
	for rounds := range 3 {
		r := resultOf(rounds, func(int) float64 { return 30 })
		require.Zero(t, r.trend())
		require.Error(t, r.judge(judged))
	}
}

func TestTrendIsTheGrowthARound(t *testing.T) {
	for _, rounds := range []int{minimum, 13, 20, 101} {
		r := resultOf(rounds, func(round int) float64 { return 10 + 7*float64(round) })
		require.InDelta(t, 7*megabyte, r.trend().perRound, 1)
	}
}
