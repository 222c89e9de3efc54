// Command benchmarks compares sessionmap with those who do a similar job: caches, concurrent maps, and what
// is written by hand. It asks first what each of them gets right, then how fast and how large it is, and
// writes RESULTS.md and the pictures in README.
//
//	go run ./benchmarks                 # about a quarter of an hour
//	go run ./benchmarks -quick          # about a minute, to see that it works; writes no file
//	go run ./benchmarks -full           # about an hour and a half
//	go run ./benchmarks -only 'get|gc' -contestants 'otter|theine'
//
// Files are written by complete runs, or where -out says so. The exit status is 1 where sessionmap fails a
// probe.
//
// contestants.go lists who takes part, with a file for each; keys.go makes the sessions. grid.go measures the
// workloads of workloads.go and what a store costs at rest; expiry.go, burst.go and lostevents.go are the three
// stories; probes.go asks what is right; goals.go says what we want of all this; report.go and pictures.go tell.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

func main() {
	var (
		quick  = flag.Bool("quick", false, "a check that all works, of about a minute")
		full   = flag.Bool("full", false, "more and longer rounds, and the lost events for the whole minute")
		only   = flag.String("only", "", "a `regexp` of what to do: "+names())
		whoRun = flag.String("contestants", "", "a `regexp` of who takes part; sessionmap always does")
		out    = flag.String("out", "", "the `directory` to write RESULTS.md and the pictures to")
	)
	flag.Parse()
	p := planOf(*quick, *full)
	p.contestants = contestants
	if *whoRun != "" {
		wanted := compile(*whoRun)
		p.contestants = slices.DeleteFunc(slices.Clone(contestants), func(c contestant) bool {
			return c.name != ours && !wanted.MatchString(c.name)
		})
	}
	if *only != "" {
		p.only = compile(*only)
	}
	dir := *out
	if dir == "" && !*quick && *only == "" && *whoRun == "" {
		dir = home()
	}

	start := time.Now()
	r := measureAll(p)
	r.took = time.Since(start)
	if err := tell(&r, dir); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
	for i, v := range r.verdicts[ours] {
		if !v.ok {
			fmt.Fprintf(os.Stderr, "benchmarks: sessionmap fails %q: %s\n", probes[i].name, v.detail)
			defer os.Exit(1)
		}
	}
}

// The parts of a run that are no workloads of the grid.
const (
	partProbes = "probes"
	partExpiry = "expiry"
	partBurst  = "burst"
	partLost   = "lost-events"
)

func names() string {
	all := partProbes
	for _, w := range workloads {
		all += ", " + w.name
	}
	for _, more := range []string{bytesPerEntry, gcMillis, backgroundCPU, partExpiry, partBurst, partLost} {
		all += ", " + more
	}
	return all
}

func measureAll(p plan) results {
	r := results{plan: p}
	progress := os.Stderr
	if p.includes(partProbes) {
		r.verdicts = runProbes(p, progress)
	}
	if p.wantsGrid() {
		r.grid = measureGrid(p, progress)
	}
	if p.includes(partExpiry) {
		r.expiries = measureExpiries(p, progress)
	}
	if p.includes(partBurst) {
		r.bursts = measureBursts(p, progress)
	}
	if p.includes(partLost) {
		r.lost = measureLost(p, progress)
	}
	return r
}

// tell prints the results, and writes them where a directory is given.
func tell(r *results, dir string) error {
	if dir != "" {
		var err error
		if r.pictures, err = r.draw(); err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := save(r.pictures, dir); err != nil {
			return err
		}
	}
	text := r.markdown()
	fmt.Print(text)
	if dir == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(dir, "RESULTS.md"), []byte(text), 0o644)
}

// home is where this program's source is: below the repository's root, where it is started, or here.
func home() string {
	if _, err := os.Stat(filepath.Join("benchmarks", "contestants.go")); err == nil {
		return "benchmarks"
	}
	return "."
}

func compile(expr string) *regexp.Regexp {
	re, err := regexp.Compile(expr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(2)
	}
	return re
}
