package sessionmap_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/sessionmap/sessionmap"
)

// At most a megabyte of histories, whatever the number of sessions.
func ExampleWithMaxCost() {
	histories := sessionmap.MustNew[string, []string](
		sessionmap.WithMaxCost(1<<20, func(_ string, messages []string) int64 { return sessionmap.SizeOf(messages) }),
		sessionmap.WithOnRemove(func(id string, _ []string, cause sessionmap.Cause) { fmt.Println(id, cause) }),
	)
	defer histories.Close()
	long := []string{strings.Repeat("tell me more ", 50_000)} // 650 KB
	histories.Set("ada", long[:1:1])
	histories.Set("grace", []string{strings.Repeat("and then ", 60_000)})
	fmt.Println(histories.Set("mary", []string{strings.Repeat("x", 2<<20)}), histories.Len())
	// Output:
	// ada evicted for cost
	// mary rejected
	// false 1
	// grace closed
}

// One bound for all that the sessions of a group have.
func ExampleWithMaxTotalCost() {
	sessions := sessionmap.MustNewGroup[string](sessionmap.WithMaxTotalCost(100))
	defer sessions.Close()
	tokens := sessionmap.NewAttribute[int](sessions, "tokens", sessionmap.WithCost(func(_ string, n int) int64 { return int64(n) }))
	images := sessionmap.NewAttribute[[]string](sessions, "images", sessionmap.WithCost(func(_ string, all []string) int64 { return 20 * int64(len(all)) }))
	tokens.Set("ada", 30)
	images.Set("ada", []string{"cat.png"})
	tokens.Set("grace", 60)
	for s := range sessions.Sessions() {
		fmt.Println(s.ID, s.Cost)
	}
	// Output: grace 60
}

// The last net of a process with a memory limit (GOMEMLIMIT, or that of its container): from 70 % of that on, the
// sessions used least recently leave, until the live heap is down to 50 % or 100 of them are left.
func ExampleWithMemoryPressure() {
	sessions := sessionmap.MustNew[string, []byte](sessionmap.WithMemoryPressure(0.7, 0.5, 100))
	defer sessions.Close()
	sessions.Set("ada", make([]byte, 1<<20))
	fmt.Println(sessions.Stats().Removals[sessionmap.Pressure])
	// Output: 0
}

// An alert to the one on call, when every other session has to be caught by a backstop.
func ExampleWithAlerts() {
	page := func(text string) { fmt.Println(text) }
	sessions := sessionmap.MustNew[string, int](
		sessionmap.WithName("agents"),
		sessionmap.WithSessionDeleted(sessionmap.NewBus[string]()),
		sessionmap.WithAlerts(sessionmap.AlertRules{BackstopShare: 0.5, Repeat: 4 * time.Hour}, func(a sessionmap.Alert) {
			page(a.Name + ": " + a.Message + "; " + a.Advice)
		}),
	)
	defer sessions.Close()
}

// All maps and groups of the process, as metrics and debug pages see them.
func ExampleInstances() {
	agents := sessionmap.MustNew[string, int](sessionmap.WithName("some agents"))
	defer agents.Close()
	agents.Set("ada", 1)
	for in := range sessionmap.Instances() {
		if in.Label == "some agents" {
			fmt.Println(in.KeyType, in.ValueType, in.IdleTimeout, in.Stats().Live)
		}
	}
	// Output: string int 30m0s 1
}

func ExampleSizeOf() {
	type agent struct {
		name  string
		tools []string
	}
	fmt.Println(sessionmap.SizeOf(&agent{"Ada", []string{"search", "run"}}) > sessionmap.SizeOf(&agent{}))
	// Output: true
}
