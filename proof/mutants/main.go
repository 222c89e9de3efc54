// Mutants breaks the library on purpose, in one place at a time, and tells which of its tests finds that.
//
//	go run ./proof/mutants                  # the planted faults of mutants.txt
//	go run ./proof/mutants -only lease      # those with this in their name or file
//	go run ./proof/mutants -check           # that each can still be planted; a second
//	go run ./proof/mutants -generic lru.go  # every comparison, operator and call of a file changed in turn
//	go run ./proof/mutants -generic all -sample 200
//
// It exits with 1 when one survives: then a test is missing, or the fault is none.
//
// To build the tests takes ten times as long as to run them. So many mutants are grafted into one binary, and an
// environment variable tells which of them is to act (see graft.go).
package main

import (
	"errors"
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
	jobs := flag.Int("jobs", runtime.NumCPU(), "how many to run at once")
	flag.Parse()
	if err := mutate(*dir, *only, *generic, *sample, *check, *jobs); err != nil {
		log.Fatal(err)
	}
}

func mutate(dir, only, generic string, sample int, check bool, jobs int) error {
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
	if sample > 0 && sample < len(mutants) {
		rand.Shuffle(len(mutants), func(i, j int) { mutants[i], mutants[j] = mutants[j], mutants[i] })
		mutants = mutants[:sample]
	}
	if check {
		fmt.Printf("%d mutants can be planted\n", len(mutants))
		return nil
	}
	t := &tally{began: time.Now(), verdicts: make(map[string]int)}
	together, alone := library.graftable(mutants)
	for batch := range slices.Chunk(together, perBinary) {
		if err := library.runTogether(batch, jobs, t); err != nil {
			return err
		}
	}
	alone = append(alone, t.again...)
	if len(alone) > 0 {
		if verdict, err := library.verdict(nil); err != nil || verdict != survives {
			return errors.Join(fmt.Errorf("without a mutant: %s", verdict), err)
		}
	}
	for _, m := range alone {
		if err := library.runAlone(m, t); err != nil {
			return err
		}
	}
	killed, survived := len(mutants)-t.verdicts[survives]-t.verdicts[doesNotBuild], t.verdicts[survives]
	fmt.Printf("\nmutants=%d killed=%d survived=%d unbuildable=%d seconds=%.0f\n", len(mutants), killed, survived, t.verdicts[doesNotBuild], time.Since(t.began).Seconds())
	if survived > 0 || generic == "" && t.verdicts[doesNotBuild] > 0 {
		os.Exit(1)
	}
	return nil
}

// A tally is what became of the mutants.
type tally struct {
	began    time.Time
	mu       sync.Mutex
	verdicts map[string]int
	again    []mutant // that are to be run once more, each in a binary of its own
}

const (
	survives     = "SURVIVES"
	doesNotBuild = "does not build"
)

func (t *tally) tell(m mutant, verdict string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.verdicts[verdict]++
	fmt.Printf("%-14s %-44s %s\n", m.file, m.name, verdict)
}

// retry has m run alone: what a graft lets live need not survive, because some tests do not run beside grafts.
func (t *tally) retry(m mutant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.again = append(t.again, m)
}
