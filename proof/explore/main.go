// Explore runs a few goroutines on small maps in every order that matters (see package stepped), and looks for answers
// that no order of whole calls would give, values that leave twice or never, live sessions that are lost.
//
//	go run ./proof/explore                       # up to two preemptions
//	go run ./proof/explore -bound 3 -random 10000
//	go run ./proof/explore -only rename -order '0*3 1*12 0*7'
//	go run ./proof/explore -chance 20000 -budget 250   # what goroutines do made by chance
//	go run ./proof/explore -chance 20000 -only chance_9522
//
// The library is built with the types of package stepped in the place of those of sync and sync/atomic, with small
// constants, so that few entries fill a batch or split a segment, and without its counters, which decide nothing.
// scenarios_test.go, group_test.go and guard_test.go have the scenarios, chance_test.go makes others. The last line tells what was done; it exits with 1 where a scenario fails.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sessionmap/sessionmap/proof/overlay"
)

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", ".", "the `directory` of the library")
	bound := flag.Int("bound", 2, "how many preemptions")
	budget := flag.Int("budget", 0, "leave a scenario after so many `executions`; 0 is never")
	random := flag.Int("random", 0, "`executions` of each scenario in orders by chance besides")
	chance := flag.Int("chance", 0, "so many `scenarios` made by chance, instead of those that were thought of")
	only := flag.String("only", "", "the scenarios that this `expression` matches")
	order := flag.String("order", "", "follow this order; if it fails tell all steps")
	flag.Parse()
	args := []string{fmt.Sprint("-bound=", *bound), fmt.Sprint("-budget=", *budget), fmt.Sprint("-random=", *random), fmt.Sprint("-chance=", *chance), "-order=" + *order, "-test.run=TestExplore/" + *only}
	if err := explore(*dir, args, *order != ""); err != nil {
		log.Fatal(err)
	}
}

func explore(dir string, args []string, replay bool) error {
	began := time.Now()
	scratch, err := os.MkdirTemp("", "explore-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	replaced, err := overlay.Write(dir, scratch, rewrite, map[string]string{"export.go": "export_test.go"})
	if err != nil {
		return err
	}
	tests := filepath.Join(scratch, "explore.test")
	build := exec.Command("go", "test", "-c", "-vet=off", "-tags", "explore", "-overlay", replaced, "-o", tests, "./explore")
	build.Dir, build.Stdout, build.Stderr = filepath.Join(dir, "proof"), os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building the scenarios: %w", err)
	}
	shards := runtime.NumCPU()
	outputs, errs := make([]bytes.Buffer, shards), make([]error, shards)
	var work sync.WaitGroup
	for i := range shards {
		work.Go(func() {
			c := exec.Command(tests, append(args, "-test.v", "-test.timeout=0", fmt.Sprintf("-shard=%d/%d", i, shards))...)
			c.Env = append(os.Environ(), "GOMAXPROCS=1") // one goroutine runs at a time anyway
			c.Stdout, c.Stderr = io.MultiWriter(os.Stdout, &outputs[i]), os.Stderr
			errs[i] = c.Run()
		})
	}
	work.Wait()
	total := make(map[string]int)
	for _, out := range outputs {
		for _, figure := range regexp.MustCompile(`(\d+) (scenarios|whole|executions|random|steps|redundant)\b`).FindAllStringSubmatch(out.String(), -1) {
			n, _ := strconv.Atoi(figure[1])
			total[figure[2]] += n
		}
	}
	fmt.Printf("scenarios=%d whole=%d executions=%d random=%d steps=%d redundant=%d seconds=%.0f\n",
		total["scenarios"], total["whole"], total["executions"], total["random"], total["steps"], total["redundant"], time.Since(began).Seconds())
	if err := errors.Join(errs...); err != nil || total["scenarios"] > 0 || replay {
		return err
	}
	return errors.New("no scenario is called so")
}

// left alone are the files whose atomics count, tell or remember, and decide nothing.
const leftAlone = " alert.go memory.go registry.go report.go stats.go weak.go "

// changes are what else is changed, by file: texts, and what comes in their place.
var changes = map[string][]string{
	"lru.go":        {"batchSize = 512", "batchSize = 4", "smallMap  = 4096", "smallMap  = 3"},
	"notes.go":      {"noteBatch   = 256", "noteBatch   = 2"},
	"session.go":    {"slotsPerPiece = 7", "slotsPerPiece = 1"},
	"table.go":      {"segmentBuckets = 64", "segmentBuckets = 1"},
	"ttl.go":        {"sweepBatch = 128", "sweepBatch = 2"},
	"access.go":     {`"hash/maphash"`, `maphash "` + stepped + `"`},
	"sessionmap.go": {`"hash/maphash"`, `maphash "` + stepped + `"`},
	"clock.go": {"time.Since(c.base)", "atomic.Since(c.base)",
		"return !monotonic(c.base)", "return true"},
	"stats.go": {"func ownLane() int {", "func ownLane() int {\n\tif true {\n\t\treturn 0 // stacks lie where they like\n\t}"},
}

const stepped = "github.com/sessionmap/sessionmap/proof/stepped"

// rewrite has a file of the library stop before each operation. Of its tests, what these export of its inside becomes
// part of it.
func rewrite(name, source string) (string, error) {
	if strings.HasSuffix(name, "_test.go") {
		return source, nil
	}
	if !strings.Contains(leftAlone, " "+name+" ") {
		source = strings.Replace(source, `"sync"`, `sync "`+stepped+`"`, 1)
		source = strings.Replace(source, `"sync/atomic"`, `atomic "`+stepped+`"`, 1)
	}
	for i := 0; i < len(changes[name]); i += 2 {
		if !strings.Contains(source, changes[name][i]) {
			return "", fmt.Errorf("%s: no %q", name, changes[name][i])
		}
		source = strings.ReplaceAll(source, changes[name][i], changes[name][i+1])
	}
	return source, nil
}
