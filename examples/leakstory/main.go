// Leakstory replays a memory leak on the real heap: an agent host keeps four kinds of state for each
// session and relies on a session.deleted event to let go of them, and the event does not come.
//
//	go run ./examples/leakstory            # about 20 seconds, within 2 GiB
//	go run ./examples/leakstory -lost 50%  # every other event arrives
//	go run ./examples/leakstory -full      # 700 MB a round, needs 6 GB of free memory
//	go run ./examples/leakstory -quick     # 3 seconds, for CI
//
// Three hosts that differ in nothing but their maps go through the same rounds of conversation, each in a
// process of its own:
//
//	flags.go ─► plan ─► process.go ─► one process a contestant:
//	                        │           drive.go ─► host.go ─► plainhost.go
//	                        │                          │       reporthost.go, reportmap.go
//	                        │                       state.go   ourhost.go
//	                        ▼           measure.go, after every round
//	                    samples ─► verdict.go, table.go, chart.go, page.go
//
// It exits with 1 when the heap of the host on sessionmap is not flat, and with 2 when it could not tell.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

const (
	exitNotFlat = 1
	exitFailed  = 2
)

func main() {
	if c, p, ok, err := inherited(); err != nil {
		exit(err)
	} else if ok {
		exit(beContestant(context.Background(), c, p))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, os.Args[1:]))
}

func exit(err error) {
	var notFlat *notFlatError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case errors.Is(err, context.Canceled):
		err = errors.New("leakstory: interrupted")
	}
	fmt.Fprintln(os.Stderr, err)
	if errors.As(err, &notFlat) {
		os.Exit(exitNotFlat)
	}
	os.Exit(exitFailed)
}

func run(ctx context.Context, args []string) error {
	opts, err := parseFlags(args, os.Stderr)
	if err != nil {
		return err
	}
	fmt.Println(opts.plan)
	results, err := replayAll(ctx, opts.plan)
	if err != nil {
		return err
	}
	s := story{Plan: opts.plan, Results: results, Made: time.Now()}
	fmt.Printf("\n%s\n%s\n", s.table(), s.terminalChart(isTerminal(os.Stdout)))
	if err := s.writePage(opts.out); err != nil {
		return err
	}
	fmt.Printf("%s\nThe page to show around: %s\n", s.summary(), opts.out)
	return s.ours().judge(opts.plan)
}

// A story is what a run has to tell.
type story struct {
	Plan    plan
	Results []result // in the order of the contestants
	Made    time.Time
}

// ours is the result that decides how the program ends.
func (s story) ours() result { return s.Results[len(s.Results)-1] }
