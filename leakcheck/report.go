package leakcheck

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// maxSites is how many stacks of each kind are shown.
const maxSites = 5

// A finding is what there is to tell of a leak.
type finding struct {
	verdict
	round  int   // the first that was judged
	calls  int   // that make a round, in a benchmark
	heap   sites // what became more in all rounds
	stacks sites // of goroutines
}

func (f finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "leakcheck: %s grow from round to round\n\n", f.what())
	f.writeGrowth(&b)
	f.writeRounds(&b)
	if f.grown(heapBytes) {
		f.writeSites(&b, "What became more, by where it was allocated:", f.heap, heapBytes)
	} else if f.grown(objects) {
		f.writeSites(&b, "What became more, by where it was allocated:", f.heap, objects)
	}
	if f.grown(goroutines) {
		f.writeSites(&b, "Goroutines that became more, by where they are:", f.stacks, goroutines)
	}
	return b.String()
}

// what names the figures that grow.
func (f finding) what() string {
	var grown []string
	for i, name := range figureNames {
		if f.grown(i) {
			grown = append(grown, name)
		}
	}
	return strings.Join(grown, ", ")
}

func (f finding) writeGrowth(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\ta round\tat least\tallowed\t\t")
	for i, name := range figureNames {
		verdict := "ok"
		if f.grown(i) {
			verdict = "LEAK"
		}
		fmt.Fprintf(w, "%s\t%+.2f\t%+.2f\t%.2f\t%s\t\n", name, f.slope[i], f.atLeast[i], f.threshold[i], verdict)
	}
	w.Flush()
	if f.calls > 1 {
		fmt.Fprintf(out, "A round is %d calls.\n", f.calls)
	}
}

func (f finding) writeRounds(out io.Writer) {
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "round\t%s\t\t%s\t\t%s\t\t\n", figureNames[heapBytes], figureNames[objects], figureNames[goroutines])
	for n, now := range f.after {
		fmt.Fprintf(w, "%d\t", f.round+n)
		for i := range now {
			change := ""
			if n > 0 {
				change = fmt.Sprintf("%+.0f", now[i]-f.after[n-1][i])
			}
			fmt.Fprintf(w, "%.0f\t%s\t", now[i], change)
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}

// writeSites writes the stacks that have the most of figure i.
func (f finding) writeSites(out io.Writer, title string, s sites, i int) {
	fmt.Fprintf(out, "\n%s\n", title)
	stacks := s.by(i)
	for n, stack := range stacks {
		if n == maxSites {
			fmt.Fprintf(out, "and %d more stacks\n", len(stacks)-n)
			return
		}
		perRound := s[stack]
		for i := range perRound {
			perRound[i] /= float64(len(f.after))
		}
		if i == goroutines {
			fmt.Fprintf(out, "%.2f goroutines a round\n%s", perRound[goroutines], stack)
		} else {
			fmt.Fprintf(out, "%.1f bytes, %.2f objects a round\n%s", perRound[heapBytes], perRound[objects], stack)
		}
	}
}
