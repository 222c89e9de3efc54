//go:build explore

package main_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/sessionmap/sessionmap/proof/stepped"
)

var (
	bound  = flag.Int("bound", 2, "preemptions")
	budget = flag.Int("budget", 0, "executions of a scenario at most; 0 is no limit")
	random = flag.Int("random", 0, "executions of each scenario in orders by chance besides")
	chance = flag.Int("chance", 0, "so many scenarios made by chance, instead")
	order  = flag.String("order", "", "follow this order")
	shard  = flag.String("shard", "0/1", "which of how many parts of the scenarios")
)

// TestExplore runs each scenario in every order.
func TestExplore(t *testing.T) {
	debug.SetGCPercent(-1) // what is freed could come back under the same address within an execution
	var part, parts int
	if _, err := fmt.Sscanf(*shard, "%d/%d", &part, &parts); err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(scenarios, groupScenarios, guardScenarios)
	if *chance > 0 {
		all = nil
		for n := range *chance {
			all = append(all, byChance(n))
		}
	}
	for i, s := range all {
		if i%parts == part {
			t.Run(s.name, func(t *testing.T) { explore(t, s) })
		}
	}
}

func explore(t *testing.T, s scenario) {
	runtime.GC()
	x := &stepped.Explorer{Bound: *bound}
	if *order != "" {
		x.Trace = true
		if err := x.Replay(*order); err != nil {
			t.Fatal(err)
		}
		execute(t, x, s)
		return
	}
	whole := 1
	for execute(t, x, s); x.Next(); execute(t, x, s) {
		if done, _, redundant := x.Executions(); *budget > 0 && done+redundant >= *budget {
			whole = 0
			break
		}
	}
	inTurn, _, _ := x.Executions()
	x.Random(rand.New(rand.NewPCG(1, 2)))
	for range *random {
		execute(t, x, s)
	}
	executions, steps, redundant := x.Executions()
	// Not as name=number: of the figures there is one line, that of all scenarios together.
	t.Logf("1 scenarios, %d whole, %d executions, %d random, %d steps, %d redundant", whole, inTurn, executions-inTurn, steps, redundant)
}

func execute(t *testing.T, x *stepped.Explorer, s scenario) {
	stepped.ResetClock(s.fine)
	stepped.Hash = stepped.Spread
	if s.collide {
		stepped.Hash = stepped.Collide
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, s)
		if err := x.Execute(stepped.Scenario{Tasks: w.tasks(), Check: w.check, Always: w.always, Close: w.close}); err != nil {
			panic(fmt.Sprintf("%s: %v", s.name, err)) // the tasks may wait for each other
		}
	})
	if done, _, redundant := x.Executions(); (done+redundant)%500 == 0 {
		runtime.GC()
	}
}
