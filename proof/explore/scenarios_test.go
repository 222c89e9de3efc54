//go:build explore

package main_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sessionmap/sessionmap"
	"github.com/sessionmap/sessionmap/proof/stepped"
)

const idle = 3 * time.Second // and no multiple of it coincides with what else a map does from time to time

// filled sets keys to ten times themselves, one after the other.
func filled(keys ...int) func(w *world) {
	return func(w *world) {
		for _, key := range keys {
			w.set(key, 10*key)
		}
	}
}

var quiet = sessionmap.WithLogger(slog.New(slog.DiscardHandler))

func passes(d time.Duration) func(w *world) { return func(*world) { stepped.Tick(d) } }

var scenarios = []scenario{
	// Get and the end of the session it finds.
	{name: "get or evict", size: 2, before: filled(1, 2), tasks: []func(w *world){
		func(w *world) { w.get(1); w.get(2) },
		func(w *world) { w.set(3, 30); w.get(1) },
	}},
	{name: "get or evict by the fine clock", fine: true, size: 2, before: filled(1, 2), tasks: []func(w *world){
		func(w *world) { w.get(1); w.get(2) },
		func(w *world) { w.set(3, 30); w.get(1) },
	}},
	{name: "evict twice", size: 2, before: filled(1, 2), tasks: []func(w *world){
		func(w *world) { w.set(3, 30); w.get(4) },
		func(w *world) { w.set(4, 40); w.get(3) },
		func(w *world) { w.get(1) },
	}},
	{name: "evict or expire", size: 2, idle: idle, before: filled(1, 2), tasks: []func(w *world){
		func(w *world) { w.set(3, 30) },
		func(w *world) { w.get(1) },
		passes(idle),
	}},
	{name: "get at the deadline", idle: idle, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.get(1); w.get(1) },
		passes(idle - 1),
		passes(1),
	}},
	{name: "touch at the deadline", idle: idle, before: filled(1, 2), tasks: []func(w *world){
		func(w *world) { w.touch(1); w.peek(1) },
		func(w *world) { stepped.Tick(idle - 1); w.m.Sweep(); stepped.Tick(1); w.m.Sweep() },
	}},
	{name: "touch by the fine clock at the deadline", fine: true, idle: idle, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.touch(1); w.touch(1) },
		func(w *world) { stepped.Tick(idle - 3); w.m.Sweep() },
	}},
	{name: "overwrite at the deadline", idle: idle, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.set(1, 11); w.get(1) },
		func(w *world) { w.set(1, 12) },
		passes(idle),
	}},
	{name: "lifetime", options: []sessionmap.Option{sessionmap.WithMaxLifetime(3 * idle)}, idle: idle, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.get(1); w.set(1, 11) },
		func(w *world) { stepped.Tick(idle - 1); stepped.Tick(2 * idle) },
	}},

	// Set against Set and the rest.
	{name: "set same key", size: 2, tasks: []func(w *world){
		func(w *world) { w.set(1, 11); w.get(1) },
		func(w *world) { w.set(1, 12); w.take(1) },
	}},
	{name: "set, take, get", before: filled(1), size: 3, tasks: []func(w *world){
		func(w *world) { w.take(1) },
		func(w *world) { w.set(1, 11) },
		func(w *world) { w.get(1); w.get(1) },
	}},
	{name: "set and set full", size: 1, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.set(2, 20); w.get(1) },
		func(w *world) { w.set(1, 11); w.get(2) },
	}},
	{name: "get or set", size: 2, tasks: []func(w *world){
		func(w *world) { w.getOrSet(1, 11) },
		func(w *world) { w.getOrSet(1, 12) },
		func(w *world) { w.take(1) },
	}},
	{name: "get or set at the deadline", idle: idle, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.getOrSet(1, 11); w.get(1) },
		func(w *world) { w.getOrSet(1, 12) },
		passes(idle),
	}},
	{name: "update", size: 2, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.update(1, 11) },
		func(w *world) { w.update(1, 12) },
		func(w *world) { w.get(1) },
	}},
	{name: "update or delete", size: 2, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.update(1, 11); w.get(1) },
		func(w *world) { w.take(1); w.set(1, 12) },
	}},
	{name: "own timeout", idle: idle, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.setIdle(1, 11, 3*idle); w.get(1) },
		func(w *world) { w.set(1, 12) },
		func(w *world) { stepped.Tick(idle); w.get(1) },
	}},
	{name: "own timeouts", idle: idle, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.setIdle(1, 11, 3*idle) },
		func(w *world) { w.setIdle(1, 12, idle/2) },
		func(w *world) { w.set(1, 13) },
	}},
	{name: "own timeout, overwrite, rename", idle: 1000 * idle, before: filled(1), size: 3, tasks: []func(w *world){
		func(w *world) { w.set(1, 11) },
		func(w *world) { w.setIdle(1, 12, idle); w.rename(1, 2) },
	}},
	{name: "delete by value", before: filled(1), size: 2, tasks: []func(w *world){
		func(w *world) { w.deleteValue(10); w.peek(1) },
		func(w *world) { w.set(1, 11) },
		func(w *world) { w.get(1) },
	}},
	{name: "entry or delete by value", before: filled(1), size: 2, idle: 1000 * idle, tasks: []func(w *world){
		func(w *world) {
			if e, ok := w.m.Entry(1); ok && (e.LastAccess.Before(start) || e.Deadline.Before(start)) {
				w.fail("last access %v, deadline %v of a session set at %v", e.LastAccess, e.Deadline, start)
			}
		},
		func(w *world) { w.deleteValue(10) },
	}},

	// Indexes. The owner of a session is its value.
	{name: "new index or overwrite", before: filled(1), size: 2, tasks: []func(w *world){
		func(w *world) { w.set(1, 11) },
		func(w *world) { w.newIndex() },
	}, after: indexed},
	{name: "new index or insert", before: filled(1), size: 3, tasks: []func(w *world){
		func(w *world) { w.set(2, 20); w.take(1) },
		func(w *world) { w.newIndex() },
	}, after: indexed},
	{name: "new index, overwrite, rename", before: filled(1), size: 3, tasks: []func(w *world){
		func(w *world) { w.set(1, 11) },
		func(w *world) { w.newIndex(); w.rename(1, 2) },
	}, after: indexed},
	{name: "index, overwrite, take", size: 2, before: func(w *world) { w.newIndex(); filled(1)(w) }, tasks: []func(w *world){
		func(w *world) { w.set(1, 11) },
		func(w *world) { w.take(1) },
		func(w *world) { w.getOrSet(1, 12) },
	}, after: indexed},
	{name: "index and rename", size: 3, before: func(w *world) { w.newIndex(); filled(1)(w) }, tasks: []func(w *world){
		func(w *world) { w.rename(1, 2) },
		func(w *world) { w.set(1, 11); w.set(2, 20) },
	}, after: indexed},

	// Leases.
	{name: "lease or evict", size: 2, before: filled(1, 2), tasks: []func(w *world){
		func(w *world) { w.lease(1, func() { w.get(2) }) },
		func(w *world) { w.set(3, 30) },
	}},
	{name: "lease or evict all", size: 1, refuses: true, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.lease(1, func() {}) },
		func(w *world) { w.set(2, 20); w.get(2) },
	}},
	{name: "lease or expire", idle: idle, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.lease(1, func() { stepped.Tick(2 * idle); w.peek(1) }) },
		func(w *world) { w.m.Sweep(); w.get(1) },
	}},
	{name: "lease and get by the fine clock", fine: true, size: 2, before: filled(1, 2), tasks: []func(w *world){
		func(w *world) { w.lease(1, func() { w.set(3, 30) }) },
		func(w *world) { w.get(1); w.get(2) },
	}},
	{name: "lease, then evict", size: 2, before: filled(1, 2), tasks: []func(w *world){
		func(w *world) { w.lease(1, func() { w.get(2) }); w.set(3, 30) },
		func(w *world) { w.get(3); w.peek(1) },
	}},
	{name: "leases", size: 2, before: filled(1, 2), tasks: []func(w *world){
		func(w *world) { w.lease(1, func() {}) },
		func(w *world) { w.lease(1, func() {}) },
		func(w *world) { w.set(3, 30) },
	}},
	{name: "lease or delete", size: 2, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.lease(1, func() { w.set(1, 11) }) },
		func(w *world) { w.take(1); w.set(1, 12) },
	}},
	{name: "release or get before the deadline", idle: idle, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.lease(1, func() {}); stepped.Tick(idle / 2) },
		func(w *world) { stepped.Tick(idle / 2); w.get(1) },
	}},
	{name: "lease and rename", size: 2, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.lease(1, func() {}); w.get(2) },
		func(w *world) { w.rename(1, 2); w.set(3, 30) },
	}},

	// Renames.
	{name: "rename or get", size: 3, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.rename(1, 2) },
		func(w *world) { w.get(1); w.get(2) },
		func(w *world) { w.get(2); w.get(1) },
	}},
	{name: "rename or set", size: 3, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.rename(1, 2); w.get(2) },
		func(w *world) { w.set(1, 11); w.set(2, 20) },
	}},
	{name: "rename with grace", size: 3, refuses: true, options: []sessionmap.Option{sessionmap.WithRenameGrace(idle)}, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.rename(1, 2) },
		func(w *world) { w.mustGet(1) },
		func(w *world) { w.mustGet(1) },
	}},
	{name: "rename with grace, entry", size: 3, refuses: true, options: []sessionmap.Option{sessionmap.WithRenameGrace(idle)}, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.rename(1, 2) },
		func(w *world) {
			if _, ok := w.m.Entry(1); !ok {
				w.fail("no times of session 1")
			}
		},
	}},
	{name: "rename with grace or load", size: 3, refuses: true, options: []sessionmap.Option{sessionmap.WithRenameGrace(idle)}, tasks: []func(w *world){
		func(w *world) { w.set(1, 10); w.rename(1, 2) },
		func(w *world) { w.mustLoad(1, 20) },
	}},
	{name: "rename with grace or delete", size: 3, options: []sessionmap.Option{sessionmap.WithRenameGrace(idle)}, before: filled(1), tasks: []func(w *world){
		func(w *world) { _ = w.m.Rename(1, 2) },
		func(w *world) { w.m.Delete(1) }, // whatever its key by then
	}, after: empty},
	{name: "rename with grace, half of it over", size: 9, refuses: true, options: []sessionmap.Option{sessionmap.WithRenameGrace(idle), sessionmap.WithSweepInterval(1000 * idle)}, before: func(w *world) {
		filled(1, 3)(w)
		w.rename(3, 4)
		time.Sleep(idle / 2)
		w.rename(1, 2)
		time.Sleep(idle - idle/2 - 1)
	}, tasks: []func(w *world){
		passes(1),
		func(w *world) { w.mustGet(1) },
	}},
	{name: "renames", size: 3, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.rename(1, 2) },
		func(w *world) { w.rename(1, 3) },
		func(w *world) { w.take(2) },
	}},
	{name: "rename, expire", size: 3, idle: idle, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.rename(1, 2); w.get(2) },
		func(w *world) { w.get(1) },
		passes(idle),
	}},
	{name: "rename, evict", size: 2, before: filled(1, 2), tasks: []func(w *world){
		func(w *world) { w.rename(1, 3) },
		func(w *world) { w.set(4, 40); w.get(3) },
	}},

	// The end of all.
	{name: "clear", size: 3, before: filled(1, 2), tasks: []func(w *world){
		func(w *world) { w.clear() },
		func(w *world) { w.set(1, 11); w.get(1) },
		func(w *world) { w.get(2) },
	}},
	{name: "clear or insert", size: 2, before: filled(1, 2), tasks: []func(w *world){
		func(w *world) { w.clear(); w.get(3) },
		func(w *world) { w.set(3, 30); w.update(1, 11) },
	}},
	{name: "clear, with notes", size: 9, before: filled(1, 2, 3, 4, 5), tasks: []func(w *world){
		func(w *world) { w.get(2); w.update(1, 11) },
		func(w *world) { w.clear(); w.set(1, 12) },
	}},
	{name: "clear and lease", size: 2, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.clear() },
		func(w *world) { w.lease(1, func() {}); w.set(2, 20) },
	}},
	{name: "close", size: 2, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.shut() },
		func(w *world) { w.set(1, 11); w.set(2, 20) },
	}},
	{name: "close or update", size: 2, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.shut() },
		func(w *world) { w.update(1, 11); w.get(1) },
		func(w *world) { w.getOrSet(1, 12); w.get(1) },
	}},
	{name: "close and expire", idle: idle, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.shut() },
		func(w *world) { w.get(1) },
		passes(idle),
	}},
	{name: "close twice", size: 2, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.shut() },
		func(w *world) { w.shut(); w.get(1) },
	}},

	// Events and tombstones.
	{name: "event", size: 2, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.bus.Publish(1) },
		func(w *world) { w.take(1); w.set(1, 11) },
	}},
	{name: "event twice", size: 2, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.bus.Publish(1); w.get(1) },
		func(w *world) { w.bus.Publish(1) },
		func(w *world) { w.update(1, 11) },
	}},
	{name: "tombstone", size: 2, refuses: true, options: []sessionmap.Option{sessionmap.WithTombstones(idle)}, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.take(1); w.get(1) },
		func(w *world) { w.set(1, 11); w.getOrSet(1, 12) },
	}, after: func(w *world) error {
		if w.m.Contains(1) {
			return errors.New("a deleted session is there again")
		}
		return nil
	}},

	// Loads.
	{name: "loads", size: 2, tasks: []func(w *world){
		func(w *world) { w.load(1, 11) },
		func(w *world) { w.load(1, 12) },
	}, after: loadedOnce},
	{name: "load or delete", size: 2, tasks: []func(w *world){
		func(w *world) { w.load(1, 11) },
		func(w *world) { w.take(1); w.get(1) },
	}, after: noOlder},
	{name: "load or set", size: 2, tasks: []func(w *world){
		func(w *world) { w.load(1, 11) },
		func(w *world) { w.set(1, 12); w.get(1) },
	}, after: noOlder},
	{name: "load, set and delete", size: 2, tasks: []func(w *world){
		func(w *world) { w.load(1, 11) },
		func(w *world) { w.set(1, 12) },
		func(w *world) { w.deleteValue(12) },
	}, after: noOlder},
	{name: "load, set and delete by owner", size: 2, before: func(w *world) { w.newIndex() }, tasks: []func(w *world){
		func(w *world) { w.load(1, 11) },
		func(w *world) { w.set(1, 12) },
		func(w *world) { w.deleteOwned(12, 1) },
	}, after: noOlder},
	{name: "load, set and rename", size: 2, tasks: []func(w *world){
		func(w *world) { w.load(1, 11) },
		func(w *world) { w.set(1, 12) },
		func(w *world) { w.rename(1, 2) },
	}, after: noOlder},
	{name: "left load or delete", size: 2, tasks: []func(w *world){
		func(w *world) { w.loadUntilLeft(1, 11) },
		func(w *world) { w.leave() },
		func(w *world) { w.take(1); w.get(1) },
	}, after: noOlder},
	{name: "load and evict", size: 1, tasks: []func(w *world){
		func(w *world) { w.load(1, 11) },
		func(w *world) { w.set(2, 20); w.load(1, 12) },
	}},
	{name: "load or clear", size: 2, tasks: []func(w *world){
		func(w *world) { w.load(1, 11) },
		func(w *world) { w.clear() },
	}},
	{name: "load or close", size: 2, tasks: []func(w *world){
		func(w *world) { w.load(1, 11) },
		func(w *world) { w.shut() },
	}},
	{name: "refresh or set", size: 2, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.refresh(1, 11) },
		func(w *world) { w.set(1, 12) },
	}, after: noOlder},
	{name: "refresh or delete", size: 2, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.refresh(1, 11) },
		func(w *world) { w.take(1) },
	}, after: noOlder},
	{name: "refresh or rename with grace", size: 3, refuses: true, options: []sessionmap.Option{sessionmap.WithRenameGrace(idle), quiet}, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.mustRefresh(1) },
		func(w *world) { w.rename(1, 2) },
	}},

	// The inside: the table's splits and merges, and the notes of readers.
	{name: "split", size: 9, before: filled(1, 2, 3, 4, 5), tasks: []func(w *world){
		func(w *world) { w.set(6, 60) },
		func(w *world) { w.get(6); w.get(1) },
		func(w *world) { w.get(2) },
	}},
	{name: "merge", size: 9, before: filled(1, 2, 3, 4, 5, 6), tasks: []func(w *world){
		func(w *world) { w.take(6); w.take(5) },
		func(w *world) { w.get(1); w.get(5) },
	}},
	{name: "collide", collide: true, size: 9, before: filled(1, 2, 3, 4, 5), tasks: []func(w *world){
		func(w *world) { w.take(1); w.set(6, 60) },
		func(w *world) { w.get(5); w.get(6) },
	}},
	{name: "past a full bucket", collide: true, size: 9, before: filled(1, 2, 3, 4, 5, 6, 7, 8), tasks: []func(w *world){
		func(w *world) { w.take(1) },
		func(w *world) { w.get(8); w.get(7) },
	}},
	{name: "notes", fine: true, size: 5, before: filled(1, 2, 3, 4, 5), tasks: []func(w *world){
		func(w *world) { w.get(1); w.get(2); w.get(3) },
		func(w *world) { w.get(4); w.set(6, 60) },
	}},
	{name: "notes of many", size: 5, before: filled(1, 2, 3, 4, 5), tasks: []func(w *world){
		func(w *world) { w.get(1); w.get(2) },
		func(w *world) { w.get(3); w.get(4) },
		func(w *world) { w.set(6, 60) },
	}},
}

func (w *world) newIndex() {
	w.index = sessionmap.NewIndex(w.m, func(_, v int) int { return v })
}

// indexed checks that each session that there is, and no other, is in the index.
func indexed(w *world) error {
	if w.index == nil { // it was not come to
		return nil
	}
	for v := range w.values {
		want := 0
		for _, present := range w.m.All() {
			if present == v {
				want = 1
			}
		}
		if n := w.index.Count(v); n != want {
			return fmt.Errorf("%d sessions of owner %d, want %d", n, v, want)
		}
	}
	return nil
}

// empty checks that there is no session.
func empty(w *world) error {
	if n := w.m.Len(); n > 0 {
		return fmt.Errorf("%d sessions", n)
	}
	return nil
}

// mustGet gets a session that is there all the time.
func (w *world) mustGet(key int) {
	if _, ok := w.m.Get(key); !ok {
		w.fail("no session %d", key)
	}
}

// mustRefresh has a session loaded anew that is there all the time. The load fails.
func (w *world) mustRefresh(key int) {
	stepped.Call(func() {
		fails := func(context.Context, int) (int, error) { return 0, errors.New("the load fails") }
		if !w.m.Refresh(key, fails) {
			w.fail("session %d is not refreshed", key)
		}
	})
}

// noOlder checks that what was loaded has not come after a change of the same key that began when the load was under
// way already.
func noOlder(w *world) error {
	for _, o := range w.calls {
		c := o.Input.(call)
		if v, _ := w.m.Peek(c.key); w.began[v] > 0 && w.began[v] < o.Call && (c.kind == set || c.kind == take || (c.kind == rename || c.kind == updateAway) && o.Output.(outcome).ok) {
			return fmt.Errorf("value %d was loaded before, and stored after, %v", v, c)
		}
	}
	for _, d := range w.deleted {
		if v, _ := w.m.Peek(d.key); w.began[v] > 0 && w.began[v] < d.began {
			return fmt.Errorf("value %d was loaded before, and stored after, a delete of %d", v, d.key)
		}
	}
	return nil
}

// loadedOnce checks that not both who miss a value have it loaded.
func loadedOnce(w *world) error {
	if len(w.began) > 1 {
		return errors.New("loaded twice")
	}
	return nil
}
