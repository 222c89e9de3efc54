package leakcheck_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sessionmap/sessionmap"
	"github.com/sessionmap/sessionmap/leakcheck"
)

// A printer stands in for the T of a test, and prints the first line of what it reports.
type printer struct{ testing.TB }

func (printer) Helper() {}

func (printer) Errorf(format string, args ...any) {
	line, _, _ := strings.Cut(fmt.Sprintf(format, args...), "\n")
	fmt.Println(line)
}

func ExampleRounds() {
	var t printer // in a test, its own t

	history := map[int][]byte{}
	leakcheck.Rounds(t, func(session int) {
		history[session] = make([]byte, 1024)
		// and at its end nobody deletes it
	})

	histories := sessionmap.MustNew[int, []byte](sessionmap.WithMaxSize(10))
	defer histories.Close()
	leakcheck.Rounds(t, func(session int) {
		histories.Set(session, make([]byte, 1024))
	})
	// Output: leakcheck: heap bytes grow from round to round
}

func ExampleWithRounds() {
	var t printer

	pages := map[int][]byte{}
	leakcheck.Rounds(t, func(round int) {
		pages[round] = make([]byte, 4096)
	}, leakcheck.WithRounds(10), leakcheck.WithWarmup(5), leakcheck.WithThreshold(1024), leakcheck.WithObjectThreshold(100))
	// Output: leakcheck: heap bytes grow from round to round
}

func ExampleDrained() {
	var t printer

	agents := sessionmap.MustNew[string, string](sessionmap.WithTTL(time.Hour))
	defer agents.Close()
	agents.Set("session-1", "Ada")
	leakcheck.Drained(t, agents)
	agents.Delete("session-1")
	leakcheck.Drained(t, agents)
	// Output: leakcheck: *sessionmap.RobustSessionMap[string,string] still holds 1 after a sweep that removed 0
}

func ExampleBenchmark() {
	// func BenchmarkSession(b *testing.B) {
	_ = func(b *testing.B) {
		agents := sessionmap.MustNew[string, string]()
		defer agents.Close()
		leakcheck.Benchmark(b, func() {
			agents.Set("session-1", "Ada")
			agents.Delete("session-1")
		})
	}
}
