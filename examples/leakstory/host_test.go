package main

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// tinyPlan has all of a story but its bytes. In a bubble it takes no time.
var tinyPlan = plan{Rounds: 10, Round: time.Second, Sessions: 20, RoundBytes: 200_000, Lost: 1}

// play takes a contestant through p in a bubble, and counts sessions and running agents after every round.
func play(t *testing.T, key string, p plan) (sessions, agents []int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		h, err := contestantByKey(t, key).newHost(p)
		require.NoError(t, err)
		require.NoError(t, h.drive(ctx, p, func(int) bool {
			synctest.Wait()
			sessions = append(sessions, h.sessions())
			agents = append(agents, runningAgents())
			return true
		}))
		require.NoError(t, h.exit())
		cancel() // also ends the agents that nobody has stopped
	})
	return sessions, agents
}

// runningAgents counts the agents' goroutines by their stacks. runtime.NumGoroutine would not do: it may be
// off by those that are just ending, and has all others in it.
func runningAgents() int {
	stacks := make([]byte, megabyte)
	for {
		n := runtime.Stack(stacks, true)
		if n < len(stacks) {
			return strings.Count(string(stacks[:n]), ".(*agent).run(")
		}
		stacks = make([]byte, 2*len(stacks))
	}
}

func contestantByKey(t *testing.T, key string) contestant {
	t.Helper()
	for _, c := range contestants {
		if c.Key == key {
			return c
		}
	}
	t.Fatalf("no contestant %q", key)
	return contestant{}
}

// alive is the most sessions that can be held where each ends for idleness: those that began within a
// conversation, an idle timeout and a sweep interval, and one on the edge of each.
func (p plan) alive() int {
	return turns + int((p.idleTimeout()+p.sweepInterval())/p.turnGap()) + 3
}

func TestPlainMapsKeepWhatNoEventEnds(t *testing.T) {
	sessions, agents := play(t, "plain", tinyPlan)
	for i := range tinyPlan.Rounds {
		require.Equal(t, (i+1)*tinyPlan.Sessions, sessions[i])
		require.Equal(t, sessions[i], agents[i])
	}
}

func TestPlainMapsAreFineWhenEventsCome(t *testing.T) {
	p := tinyPlan
	p.Lost = 0
	sessions, agents := play(t, "plain", p)
	for i := range p.Rounds {
		require.Less(t, sessions[i], turns)
		require.Equal(t, sessions[i], agents[i])
	}
}

func TestReportMapForgetsSessionsButLeavesAgentsRunning(t *testing.T) {
	for _, lost := range []float64{0, 1} {
		p := tinyPlan
		p.Lost = lost
		sessions, agents := play(t, "report", p)
		for i := range p.Rounds {
			require.LessOrEqual(t, sessions[i], p.alive())
			require.GreaterOrEqual(t, agents[i], (i+1)*p.Sessions)
		}
	}
}

func TestOursIsFlatWhateverIsLost(t *testing.T) {
	for _, lost := range []float64{0, 0.5, 1} {
		p := tinyPlan
		p.Lost = lost
		sessions, agents := play(t, "ours", p)
		for i := range p.Rounds {
			require.LessOrEqual(t, sessions[i], p.alive())
			require.LessOrEqual(t, agents[i], p.alive())
		}
	}
}

func TestAllLiveSessionsAreKept(t *testing.T) {
	for _, c := range contestants {
		sessions, _ := play(t, c.Key, tinyPlan)
		for _, n := range sessions {
			require.GreaterOrEqual(t, n, turns, c.Name)
		}
	}
}

func TestHalfOfTheEventsGetLost(t *testing.T) {
	p := tinyPlan
	p.Lost = 0.5
	sessions, _ := play(t, "plain", p)
	begun := p.Rounds * p.Sessions
	require.InDelta(t, begun/2, sessions[p.Rounds-1], float64(begun)/10)
}

func TestDriveEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		h, err := newPlainHost(tinyPlan)
		require.NoError(t, err)
		err = h.drive(ctx, tinyPlan, func(int) bool { cancel(); return true })
		require.ErrorIs(t, err, context.Canceled)
	})
}

// The port must have the report's behaviour, its faults included.
func TestReportMapIsTheReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ttl, interval = time.Minute, 40 * time.Second
		deleted := sessionmap.NewBus[string]()
		m := newReportMap[string, int](2, ttl, interval, deleted)

		m.Set("a", 1)
		time.Sleep(ttl + time.Second)
		_, ok := m.Get("a")
		require.True(t, ok, "past its time, not yet cleaned up, and revived by Get")

		time.Sleep(ttl + interval)
		synctest.Wait()
		require.Zero(t, m.Len(), "cleaned up at last")

		m.Set("a", 1)
		time.Sleep(time.Millisecond)
		m.Set("b", 2)
		time.Sleep(time.Millisecond)
		m.Set("b", 3)
		require.Equal(t, 1, m.Len(), "overwriting in a full map evicts the least recently used")
		_, ok = m.Get("a")
		require.False(t, ok)

		deleted.Publish("b")
		require.Zero(t, m.Len())

		m.Set("c", 4)
		m.Clear()
		require.Zero(t, m.Len())
	})
}
