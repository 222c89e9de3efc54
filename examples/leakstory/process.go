package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// Every contestant runs in a process of its own, so that no figure of one has a trace of another in it.
// The program starts itself again with an assignment in the environment, and reads one line of JSON a round.
//
// No such process outlives its parent: the parent kills it when interrupted, and if the parent is itself
// killed, the child finds its standard input at an end.

const assignmentVariable = "LEAKSTORY_ASSIGNMENT"

type assignment struct {
	Contestant string
	Plan       plan
}

// inherited returns what this process was started for, and whether it was started by another.
func inherited() (c contestant, p plan, ok bool, err error) {
	text, ok := os.LookupEnv(assignmentVariable)
	if !ok {
		return contestant{}, plan{}, false, nil
	}
	var a assignment
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return contestant{}, plan{}, false, fmt.Errorf("leakstory: reading %s: %w", assignmentVariable, err)
	}
	for _, c := range contestants {
		if c.Key == a.Contestant {
			return c, a.Plan, true, nil
		}
	}
	return contestant{}, plan{}, false, fmt.Errorf("leakstory: %s names no contestant: %q", assignmentVariable, a.Contestant)
}

// beContestant goes through the plan and prints a sample after every round.
func beContestant(ctx context.Context, c contestant, p plan) error {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(exitFailed)
	}()
	h, err := c.newHost(p)
	if err != nil {
		return err
	}
	lines := json.NewEncoder(os.Stdout)
	var failed error
	if err := h.drive(ctx, p, func(round int) bool {
		s, err := measure(h, round)
		failed = errors.Join(err, lines.Encode(s))
		return failed == nil && s.Heap <= p.StopAt
	}); err != nil {
		return err
	}
	return errors.Join(failed, h.exit())
}

// replay runs a contestant in a process of its own, and calls sampled after every round.
func replay(ctx context.Context, c contestant, p plan, sampled func(sample)) (result, error) {
	fail := func(err error) (result, error) {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return result{}, fmt.Errorf("leakstory: replaying with %s: %w", c.Name, err)
	}
	self, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	text, err := json.Marshal(assignment{c.Key, p})
	if err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), assignmentVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // stays open, and empty, for as long as this process lives
		return fail(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fail(err)
	}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	r := result{Contestant: c}
	for lines := json.NewDecoder(out); ; {
		var s sample
		if err := lines.Decode(&s); err == io.EOF {
			break
		} else if err != nil {
			cancel()
			return fail(errors.Join(err, cmd.Wait()))
		}
		r.Samples = append(r.Samples, s)
		sampled(s)
	}
	if err := cmd.Wait(); err != nil {
		return fail(fmt.Errorf("after round %d: %w", len(r.Samples), err))
	}
	r.Stopped = len(r.Samples) < p.Rounds
	return r, nil
}
