package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// replayAll runs one contestant after the other and shows how far it is: a bar where somebody watches, and
// elsewhere, as in the log of a CI run, a line for each contestant.
func replayAll(ctx context.Context, p plan) ([]result, error) {
	watched := isTerminal(os.Stderr)
	bar := progressbar.NewOptions(p.Rounds*len(contestants),
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetVisibility(watched),
		progressbar.OptionSetWidth(30),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionThrottle(50*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
	var results []result
	for i, c := range contestants {
		describe := func(heap uint64) {
			bar.Describe(fmt.Sprintf("%-12s %5s MB", c.Name, mb(heap)))
		}
		describe(0)
		r, err := replay(ctx, c, p, func(s sample) {
			describe(s.Heap)
			_ = bar.Add(1) // a bar that cannot be drawn is no reason to stop
		})
		if err != nil {
			_ = bar.Clear()
			return nil, err
		}
		_ = bar.Set(p.Rounds * (i + 1)) // it may have been stopped early
		if !watched {
			fmt.Fprintf(os.Stderr, "%s: %d rounds\n", c.Name, len(r.Samples))
		}
		results = append(results, r)
	}
	return results, nil
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
