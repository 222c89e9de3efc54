package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// The four kinds of state that the report names. Three are memory and nothing else. The fourth also owns
// things that the garbage collector does not see as its own: a running goroutine, and the timer it waits
// for, keep alive what they use until somebody stops them.

// A contextCache holds the files that a session was given to read.
type contextCache struct{ files [][]byte }

// A history holds the messages of a session, and grows with every turn.
type history struct{ messages [][]byte }

func (h *history) add(message []byte) { h.messages = append(h.messages, message) }

// The toolResults of a session, by call.
type toolResults struct{ byCall map[string][]byte }

func (t *toolResults) add(result []byte) {
	t.byCall[fmt.Sprintf("call-%d", len(t.byCall)+1)] = result
}

// An agent works on its memory in the background, beat by beat, until it is stopped.
type agent struct {
	memory    []byte
	heartbeat *time.Ticker
	stop      context.CancelFunc // may be called any number of times
}

func startAgent(ctx context.Context, memory []byte, every time.Duration) *agent {
	ctx, cancel := context.WithCancel(ctx)
	a := &agent{memory, time.NewTicker(every), cancel}
	go a.run(ctx)
	return a
}

func (a *agent) run(ctx context.Context) {
	defer a.heartbeat.Stop()
	for {
		select {
		case <-a.heartbeat.C:
			a.memory[0]++
		case <-ctx.Done():
			return
		}
	}
}

// payload returns n bytes that the process really holds: an allocation by itself is only a promise of the
// operating system, kept page by page on the first write.
func payload(n int) []byte {
	data := make([]byte, n)
	for i := 0; i < n; i += os.Getpagesize() {
		data[i] = 1
	}
	return data
}
