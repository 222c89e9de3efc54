package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// drive takes h through the plan. With every beat of a round one session begins, each running conversation
// takes a turn, and the oldest comes to its end. Conversations run on across the end of a round.
//
// roundDone is called after every round, while nothing happens in the host but what happens by itself; it
// reports whether to go on.
func (h *host) drive(ctx context.Context, p plan, roundDone func(round int) (more bool)) error {
	chance := rand.New(rand.NewPCG(1486, 0)) // the same events are lost to all contestants
	var running []string
	begun := 0
	for round := 1; round <= p.Rounds; round++ {
		start := time.Now()
		for beat := range p.Sessions {
			// Beats count from the start of the round, so that one that is late does not delay the next.
			if err := sleepUntil(ctx, start.Add(time.Duration(beat)*p.turnGap())); err != nil {
				return err
			}
			begun++
			running = append(running, fmt.Sprintf("session-%05d", begun))
			for _, id := range running {
				h.turn(ctx, id, p)
			}
			if len(running) < turns {
				continue
			}
			ended := running[0]
			running = running[1:]
			if lost := chance.Float64() < p.Lost; !lost {
				h.deleted.Publish(ended)
			}
		}
		if err := sleepUntil(ctx, start.Add(p.Round)); err != nil {
			return err
		}
		if !roundDone(round) {
			return nil
		}
	}
	return nil
}

func sleepUntil(ctx context.Context, t time.Time) error {
	select {
	case <-time.After(time.Until(t)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
