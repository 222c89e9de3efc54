// Mutants breaks the library on purpose, in one place at a time, and tells which of its tests finds that.
//
//	go run ./proof/mutants                  # the planted faults of mutants.txt
//	go run ./proof/mutants -only lease      # those with this in their name or file
//	go run ./proof/mutants -check           # that each can still be planted; a second
//	go run ./proof/mutants -generic lru.go  # every comparison, operator and call of a file changed in turn
//	go run ./proof/mutants -generic all -sample 200
//
// It exits with 1 when one survives: then a test is missing, or the fault is none; or when one of mutants.txt does not
// compile. With -report it tells of those and exits with 0. A sample is the same each time, unless the files or -seed change.
//
// Tests that take five times as long with a mutant as without hang. That finds the mutant too, and is told apart.
//
// To build the tests takes ten times as long as to run them. So many mutants are grafted into one binary, and an
// environment variable tells which of them is to act (see graft.go).
package main

import (
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// perBinary is how many mutants are built into one test binary.
const perBinary = 100

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", ".", "the `directory` of the library")
	only := flag.String("only", "", "those mutants with this `text` in their name or file")
	check := flag.Bool("check", false, "only see whether each can be planted")
	generic := flag.String("generic", "", "instead of mutants.txt, change every operator and call of these `files`, with commas between, or all")
	sample := flag.Int("sample", 0, "take only so many of them, chosen at random; 0 is all")
	seed := flag.Uint64("seed", 1, "what the choice depends on")
	report := flag.Bool("report", false, "exit with 0 also when some survive")
	jobs := flag.Int("jobs", runtime.NumCPU(), "how many to run at once")
	flag.Parse()
	if err := mutate(*dir, *only, *generic, *sample, *seed, *check, *report, *jobs); err != nil {
		log.Fatal(err)
	}
}

func mutate(dir, only, generic string, sample int, seed uint64, check, report bool, jobs int) error {
	library, err := readLibrary(dir)
	if err != nil {
		return err
	}
	var mutants []mutant
	if generic != "" {
		mutants, err = library.generic(generic)
	} else {
		mutants, err = library.planted(list)
	}
	if err != nil {
		return err
	}
	mutants = slices.DeleteFunc(mutants, func(m mutant) bool {
		return !strings.Contains(m.name, only) && !strings.Contains(m.file, only)
	})
	if len(mutants) == 0 {
		return fmt.Errorf("no mutant is called %q", only)
	}
	if sample > 0 && sample < len(mutants) {
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(mutants), func(i, j int) { mutants[i], mutants[j] = mutants[j], mutants[i] })
		mutants = mutants[:sample]
	}
	if check {
		fmt.Printf("%d mutants can be planted\n", len(mutants))
		return nil
	}
	t := &tally{began: time.Now(), verdicts: make(map[string]int)}
	together, alone := library.graftable(mutants)
	plain, shaken := library.plain(), library.shaken()
	for _, w := range []way{plain, shaken} {
		var left []mutant
		for batch := range slices.Chunk(together, perBinary) {
			survivors, err := library.runTogether(batch, w, jobs, t)
			if err != nil {
				return err
			}
			left = append(left, survivors...)
		}
		together = left
	}
	// Some tests do not run beside grafts.
	if err := library.runAlone(together, []way{plain}, jobs, t); err != nil {
		return err
	}
	if err := library.runAlone(alone, []way{plain, shaken}, jobs, t); err != nil {
		return err
	}
	for _, name := range t.survivors {
		fmt.Println("survivor:", name)
	}
	killed, survived := len(mutants)-t.verdicts[survives]-t.verdicts[doesNotBuild], t.verdicts[survives]
	fmt.Printf("\nmutants=%d killed=%d hanging=%d survived=%d unbuildable=%d seconds=%.0f\n", len(mutants), killed, t.hanging, survived, t.verdicts[doesNotBuild], time.Since(t.began).Seconds())
	if !report && (survived > 0 || generic == "" && t.verdicts[doesNotBuild] > 0) {
		os.Exit(1)
	}
	return nil
}

// A tally is what became of the mutants.
type tally struct {
	began    time.Time
	mu       sync.Mutex
	verdicts map[string]int
	hanging  int // of those that were found

	survivors []string
}

const (
	survives     = "SURVIVES"
	hangs        = "hangs"
	doesNotBuild = "does not build"
)

func (t *tally) tell(m mutant, verdict string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.verdicts[verdict]++
	switch {
	case verdict == survives:
		t.survivors = append(t.survivors, m.file+" "+m.name)
	case strings.Contains(verdict, hangs):
		t.hanging++
	}
	fmt.Printf("%-14s %-44s %s\n", m.file, m.name, verdict)
}
