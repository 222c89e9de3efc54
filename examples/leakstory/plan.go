package main

import (
	"fmt"
	"time"
)

// A plan says what every contestant goes through. All times are shares of a round, so that a small run
// tells what a big one does, only sooner.
type plan struct {
	Rounds     int
	Round      time.Duration
	Sessions   int     // that begin in a round, evenly spread over it
	RoundBytes uint64  // of state that a round's sessions gather
	Lost       float64 // the share of session.deleted events that nobody hears of

	StopAt    uint64 // the heap beyond which a contestant is stopped, for the machine's sake
	HeapLimit uint64 // the heap that ours must stay within; 0 is none
}

const (
	megabyte = 1000 * 1000
	minimum  = 8 // rounds, fewer of which do not tell growth from warming up
)

// The default is sized for a laptop with other work to do, quickPlan for CI. fullPlan has the figures of
// the report: 600 to 800 MB a round, past 4 GB in a few rounds, and a fix that should hold it within 500.
var (
	defaultPlan = plan{Rounds: 20, Round: 300 * time.Millisecond, Sessions: 40, RoundBytes: 50 * megabyte, Lost: 1, StopAt: 1400 * megabyte}
	quickPlan   = plan{Rounds: minimum, Round: 110 * time.Millisecond, Sessions: 10, RoundBytes: 20 * megabyte, Lost: 1, StopAt: 1400 * megabyte}
	fullPlan    = plan{Rounds: 20, Round: 2 * time.Second, Sessions: 40, RoundBytes: 700 * megabyte, Lost: 1, StopAt: 4000 * megabyte, HeapLimit: 500 * megabyte}
)

// turns is how many turns a conversation has. One session begins and one turn of each running conversation
// is taken every Round/Sessions.
const turns = 5

func (p plan) turnGap() time.Duration { return p.Round / time.Duration(p.Sessions) }

// The report's 30 minutes and one minute, scaled: many turns long, and much shorter than a round.
func (p plan) idleTimeout() time.Duration   { return p.Round / 5 }
func (p plan) sweepInterval() time.Duration { return p.Round / 20 }

// heartbeat is how often an agent looks after itself.
func (p plan) heartbeat() time.Duration { return p.Round / 2 }

// What a session gathers: the context and the agent's memory when it begins, messages and tool results
// with every turn.
func (p plan) sessionBytes() int  { return int(p.RoundBytes) / p.Sessions }
func (p plan) contextBytes() int  { return p.sessionBytes() * 20 / 100 }
func (p plan) agentBytes() int    { return p.sessionBytes() * 10 / 100 }
func (p plan) messageBytes() int  { return p.sessionBytes() * 40 / 100 / turns }
func (p plan) toolBytes() int     { return p.sessionBytes() * 30 / 100 / turns }
func (p plan) lostShare() string  { return fmt.Sprintf("%g%%", 100*p.Lost) }
func (p plan) roundBytes() string { return mb(p.RoundBytes) + " MB" }

// String tells the plan to whoever waits for it.
func (p plan) String() string {
	return fmt.Sprintf("%d rounds of %d sessions, %s a round, %s of session.deleted events lost, idle timeout %v",
		p.Rounds, p.Sessions, p.roundBytes(), p.lostShare(), p.idleTimeout())
}

// mb is a number of bytes in megabytes, as the report counts them.
func mb(bytes uint64) string { return fmt.Sprintf("%d", (bytes+megabyte/2)/megabyte) }
