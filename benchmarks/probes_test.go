package main

import (
	"testing"
	"testing/synctest"
	"time"
)

// ask runs a probe. Those that wait do so in a bubble, where time passes only while all sleep: they are quick
// there, and no machine is too slow for them. The others end as soon as they know, or after the patience.
func ask(t *testing.T, pr probe, who contestant, patience time.Duration) verdict {
	p := probePlan{idle: 2 * time.Second, patience: patience, ids: 5_000}
	if !pr.waits {
		return pr.run(p, who)
	}
	var v verdict
	synctest.Test(t, func(*testing.T) { v = pr.run(p, who) })
	return v
}

func TestOursPassesEveryProbe(t *testing.T) {
	us := contestants[0]
	if us.name != ours {
		t.Fatalf("the first contestant is %s, want %s", us.name, ours)
	}
	for _, p := range probes {
		t.Run(p.name, func(t *testing.T) {
			if v := ask(t, p, us, time.Minute); !v.ok {
				t.Error(v.detail)
			}
		})
	}
}

// A probe that cannot fail proves nothing.
func TestBadStoreFailsEveryProbe(t *testing.T) {
	bad := contestant{name: "bad", bounded: true, expires: true, touches: true, callback: true, make: newBadStore}
	for _, p := range probes {
		t.Run(p.name, func(t *testing.T) {
			if ask(t, p, bad, 100*time.Millisecond).ok {
				t.Error("passes")
			}
		})
	}
}

func TestTouchProbeFindsThoseWhoNeverForget(t *testing.T) {
	forever := contestant{name: "forever", expires: true, touches: true, make: newXsync}
	if ask(t, probe{waits: true, run: touchExtends}, forever, 0).ok {
		t.Error("passes")
	}
}
