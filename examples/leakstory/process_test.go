package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shortPlan is real time and a real process, and next to none of either.
var shortPlan = plan{Rounds: minimum, Round: 20 * time.Millisecond, Sessions: 4, RoundBytes: megabyte, Lost: 1, StopAt: 1000 * megabyte}

func TestReplay(t *testing.T) {
	for _, c := range contestants {
		seen := 0
		r, err := replay(t.Context(), c, shortPlan, func(s sample) {
			seen++
			require.Equal(t, seen, s.Round)
			require.NotZero(t, s.Heap)
			require.NotZero(t, s.RSS)
			require.NotZero(t, s.Goroutines)
		})
		require.NoError(t, err)
		require.Equal(t, shortPlan.Rounds, seen)
		require.Len(t, r.Samples, seen)
		require.False(t, r.Stopped)
	}
}

func TestReplayStops(t *testing.T) {
	p := shortPlan
	p.StopAt = 1
	r, err := replay(t.Context(), contestants[0], p, func(sample) {})
	require.NoError(t, err)
	require.Len(t, r.Samples, 1)
	require.True(t, r.Stopped)
}

func TestReplayEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := shortPlan
	p.Rounds = 1_000_000
	_, err := replay(ctx, contestants[0], p, func(sample) { cancel() })
	require.ErrorIs(t, err, context.Canceled)
}

func TestReplayOfNobody(t *testing.T) {
	_, err := replay(t.Context(), contestant{Key: "nobody", Name: "nobody"}, shortPlan, func(sample) {})
	require.ErrorContains(t, err, "replaying with nobody: after round 0: exit status 2")
}
