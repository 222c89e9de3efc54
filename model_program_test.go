package sessionmap_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// What the programs have in common that run on a map and on its model (model_test.go), and on a group and on its
// (model_group_test.go).

var modelSteps = flag.Int("modelsteps", 2000, "how many steps each program of TestModel and TestGroupModel has")

// stepBytes is what a step is made of, so that one can be cut out and the others stay what they are.
const stepBytes = 5

// A modelStep is what a step of a program can be: it calls what is tested, does the same to the model, and tells what it was.
type modelStep[P any] struct {
	name   string
	weight int // how often it comes, compared to the others
	do     func(p P, key, x, y int) string
}

// testModel runs a random program by each of the rules of a grid, and whatever else they say; there are all of them.
func testModel(t *testing.T, kind string, grid, all int, run func(t *testing.T, rules int, code []byte) (steps int)) {
	steps, done := *modelSteps, 0
	if testing.Short() {
		steps /= 10
	}
	defer func() { t.Logf("kind=%s steps=%d", kind, done) }()
	for i := range grid {
		seed, rules := rand.Uint64(), i+grid*rand.IntN(all/grid)
		t.Run(fmt.Sprintf("rules=%d", rules), func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			done += run(t, rules, randomCode(seed, steps))
		})
	}
}

// fuzzModel is testModel for programs that the fuzzer finds. It needs no minimizing by the fuzzer, which takes long:
// -fuzzminimizetime 20x.
func fuzzModel(f *testing.F, grid, all int, run func(t *testing.T, rules int, code []byte) (steps int)) {
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range grid {
		f.Add(uint32(i+grid*rng.IntN(all/grid))<<1, randomCode(rng.Uint64(), 50))
	}
	f.Fuzz(func(t *testing.T, rules uint32, code []byte) { run(t, int(rules>>1), code) }) // >>1: an int may have 32 bits
}

func randomCode(seed uint64, steps int) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	code := make([]byte, stepBytes*steps)
	for i := range code {
		code[i] = byte(rng.Uint32())
	}
	return code
}

// picker returns a function that takes choices off a number.
func picker(number int) (pick func(n int) int) {
	return func(n int) int {
		defer func() { number /= n }()
		return number % n
	}
}

// An attempt is one run of a program. It stands in for the test, which is not to fail yet.
type attempt struct {
	code    []byte // what is still to be run
	log     []string
	failure string
}

func (a *attempt) Errorf(format string, args ...any) { a.failure = fmt.Sprintf(format, args...) }
func (a *attempt) FailNow()                          { runtime.Goexit() }

// nextStep has p do the next step. It reports false at the end of the program.
func nextStep[P any](a *attempt, p P, steps []modelStep[P], keys int) bool {
	if len(a.code) < stepBytes {
		return false
	}
	code := a.code
	a.code = code[stepBytes:]
	op, key, x, y := int(code[0]), int(binary.BigEndian.Uint16(code[1:]))%keys, int(code[3]), int(code[4])
	weights := 0
	for _, s := range steps {
		weights += s.weight
	}
	op %= weights
	for _, s := range steps {
		if op -= s.weight; op < 0 {
			at := len(a.log)
			a.log = append(a.log, fmt.Sprintf("%s %d %d %d, unfinished", s.name, key, x, y))
			a.log[at] = s.do(p, key, x, y)
			break
		}
	}
	return true
}

// runProgram runs a program by certain rules, and returns how many steps it had. One that fails it shortens.
func runProgram(t *testing.T, rules any, code []byte, run func(*attempt)) (steps int) {
	// try also returns the part of the program that was run.
	try := func(code []byte) (a *attempt, done []byte) {
		a = &attempt{code: code}
		synctest.Test(t, func(*testing.T) {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				defer func() {
					if x := recover(); x != nil {
						a.failure = fmt.Sprintf("%v\n%s", x, debug.Stack())
					}
				}()
				run(a)
			}()
			<-ended
		})
		return a, code[:len(code)-len(a.code)]
	}
	first, done := try(code)
	if first.failure == "" {
		return len(first.log)
	}
	shortest := first
	for n := len(done) / stepBytes; n > 0; n /= 2 {
		for at := 0; at < len(done); {
			rest := done[min(at+n*stepBytes, len(done)):]
			if a, shorter := try(slices.Concat(done[:at], rest)); a.failure != "" {
				shortest, done = a, shorter
			} else {
				at += n * stepBytes
			}
		}
	}
	t.Errorf("after %d steps: %s", len(first.log), first.failure)
	t.Logf("the last of them: %v", first.log[max(0, len(first.log)-30):])
	t.Errorf("rules %+v, shortened to %d steps: %v\n%s", rules, len(shortest.log), shortest.log, shortest.failure)
	return len(first.log)
}

// A turn orders what a program has done before what the map's own goroutines do next: these run while it waits, or time passes.
var turn atomic.Int64

// wait lets all other goroutines of the bubble go on as far as they can.
func wait() {
	turn.Add(1)
	synctest.Wait()
}

// pass lets time pass. What was due then may be under way still, until a wait.
func pass(d time.Duration) {
	turn.Add(1)
	time.Sleep(d)
}
