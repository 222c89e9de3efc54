// Agenthost is a host of agents that keeps eight maps by session id, a timer and a child process for each session,
// and a cache, once as such hosts are written and once with all of it in one group. Most of the session.deleted
// events are lost, and the program prints what either host is left with.
//
//	go run ./examples/agenthost
//
//	main.go ─┬─► before.go   the maps, one lock, and a cleanup on the event
//	         └─► after.go    the same methods in the same order, on a group
//	                 └─► state.go, machine.go, child.go   what both have: values, timers, processes
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/sessionmap/sessionmap"
)

const (
	idle         = 500 * time.Millisecond // stands for half an hour
	sessions     = 40
	processEvery = 8 // of so many sessions one has a child process
	arriveEvery  = 5 // of so many events one arrives
	rounds       = 3
	instructions = "AGENTS.md" // the path that is injected into every session
)

// A host runs the sessions of agents.
type host interface {
	begin(id, agent, model string)
	spawn(id string) error // a child process for the session
	round(ctx context.Context, id, message string, ask ask) error
	held() []int // the number of entries, in the order of kinds
	close() error
}

// An ask is what takes the time in a round: the agent asks its model, and runs the tools that this calls.
type ask func(ctx context.Context, agent, model, message string) (answer string, err error)

var errNoSession = errors.New("agenthost: no such session")

func main() {
	if os.Getenv(childVariable) != "" {
		beChild()
		return
	}
	if err := run(os.Stdout, func() (io.Closer, error) { return startChild() }); err != nil {
		log.Fatal(err)
	}
}

// run plays the same sessions on both hosts.
func run(w io.Writer, launch func() (io.Closer, error)) error {
	before, err := play(newBeforeHost, launch)
	if err != nil {
		return err
	}
	after, err := play(newAfterHost, launch)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d sessions have ended, and %d of the events that say so have arrived. Left behind:\n\n",
		sessions, sessions/arriveEvery)
	fmt.Fprintf(w, "%-18s %19s %21s\n", "", "eight maps", "one group")
	fmt.Fprintf(w, "%-18s %10s %10s %10s %10s\n", "", "at once", "later", "at once", "later")
	for i, kind := range append(kinds, "heartbeats running", "processes alive") {
		fmt.Fprintf(w, "%-18s %10d %10d %10d %10d\n", kind, before.atOnce[i], before.later[i], after.atOnce[i], after.later[i])
	}
	fmt.Fprintln(w, "\nlater: when the idle timeout has passed")
	return nil
}

// leftovers are what a host holds, and then what its machine runs, after all sessions have ended.
type leftovers struct{ atOnce, later []int }

func play(newHost func(*machine, *sessionmap.Bus[string]) host, launch func() (io.Closer, error)) (left leftovers, err error) {
	m := &machine{launch: launch}
	events := sessionmap.NewBus[string]()
	h := newHost(m, events)
	defer func() { err = errors.Join(err, h.close()) }()
	if err := converse(h); err != nil {
		return left, err
	}
	for i := 0; i < sessions; i += arriveEvery {
		events.Publish(sessionID(i))
	}
	left.atOnce = count(h, m)
	time.Sleep(2 * idle)
	left.later = count(h, m)
	return left, nil
}

// converse has all sessions, up to what should be their end.
func converse(h host) error {
	for i := range sessions {
		id := sessionID(i)
		h.begin(id, "planner", "large")
		if i%processEvery == 0 {
			if err := h.spawn(id); err != nil {
				return err
			}
		}
		for n := range rounds {
			if err := h.round(context.Background(), id, fmt.Sprint("message ", n), echo); err != nil {
				return err
			}
		}
	}
	return nil
}

func echo(_ context.Context, agent, model, message string) (string, error) {
	return fmt.Sprintf("%s (%s): %s", agent, model, message), nil
}

func sessionID(i int) string { return fmt.Sprint("session-", i) }

func count(h host, m *machine) []int {
	return append(h.held(), int(m.heartbeats.Load()), int(m.processes.Load()))
}
