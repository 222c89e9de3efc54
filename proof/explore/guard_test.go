//go:build explore

package main_test

import (
	"fmt"
	"slices"

	"github.com/sessionmap/sessionmap"
	"github.com/sessionmap/sessionmap/proof/stepped"
)

// A guarded is a map under a guard of the group.
type guarded struct {
	guard *sessionmap.Guard[int]
	store func(id, value int)
	all   func() map[int]int
	last  map[int]int // what was put in last, by key
	put   bool        // something was, which the end of its session can have overtaken
}

// guardPlain sets up a plain map.
func guardPlain(w *world) {
	var mu stepped.Mutex
	m := make(map[int]int)
	w.guarded = &guarded{guard: sessionmap.NewGuard(w.g, &mu, m), all: func() map[int]int { return m }, store: func(id, value int) {
		mu.Lock()
		defer mu.Unlock()
		m[id] = value
	}}
}

// guardSync sets up a sync.Map.
func guardSync(w *world) {
	m := new(stepped.Map)
	w.guarded = &guarded{guard: sessionmap.NewSyncGuard(w.g, m), store: func(id, value int) { m.Store(id, value) }, all: func() map[int]int {
		all := make(map[int]int)
		for id, value := range m.Range {
			all[id.(int)] = value.(int)
		}
		return all
	}}
}

// movedAlong checks that what the guarded map has of the session is where that is.
func movedAlong(w *world) error {
	all := w.guarded.all()
	for s := range w.g.Sessions() {
		if v, there := all[s.ID]; !there || len(all) != 1 {
			return fmt.Errorf("the session is called %d, and the guarded map has %v under %d, all in all %v", s.ID, v, s.ID, all)
		}
	}
	return nil
}

func (w *world) adopt() { stepped.Call(func() { w.guarded.guard.Adopt() }) }

// put is how a guard is to be used.
func (w *world) put(id, value int) {
	touched := false
	stepped.Call(func() { touched = w.guarded.guard.Touch(id) })
	if !touched {
		if !w.refuses {
			w.fail("a touch of %d was refused", id)
		}
		return
	}
	w.guarded.store(id, value)
	w.guarded.last[id], w.guarded.put = value, true // nobody comes between
}

// checkGuarded checks that each session that goes on has what was put in last under its key, and that at the end of all
// sessions nothing is left that Adopt does not find.
func checkGuarded(w *world) error {
	all := w.guarded.all()
	for id, last := range w.guarded.last {
		if v, there := all[id]; w.g.Contains(id) && (!there || v != last) {
			return fmt.Errorf("the guarded map has %d (%v) under %d, which lives, want %d", v, there, id, last)
		}
	}
	if w.guarded.put {
		w.guarded.guard.Adopt()
	}
	w.g.Clear()
	if all := w.guarded.all(); len(all) > 0 {
		return fmt.Errorf("all sessions have ended, and the guarded map has %v", all)
	}
	return nil
}

var guardScenarios = slices.Concat(scenariosOfGuard("guard", guardPlain), scenariosOfGuard("sync guard", guardSync))

// scenariosOfGuard are of a map that is set up with 10 under 1, which has no session before it is adopted.
func scenariosOfGuard(kind string, setUp func(w *world)) []scenario {
	unadopted := func(w *world) {
		setUp(w)
		w.guarded.store(1, 10)
		w.guarded.last = map[int]int{1: 10}
	}
	adopted := func(w *world) { unadopted(w); w.adopt() }
	return []scenario{
		{name: kind + " or the end", group: true, refuses: true, before: adopted, after: checkGuarded, idle: idle, tasks: []func(w *world){
			func(w *world) { w.put(1, 11) },
			func(w *world) { w.end() },
		}},
		{name: kind + " or two ends", group: true, refuses: true, before: adopted, after: checkGuarded, idle: idle, tasks: []func(w *world){
			func(w *world) { w.put(1, 11) },
			func(w *world) { w.end() },
			func(w *world) { w.end(); w.put(1, 12) },
		}},
		{name: kind + " or eviction", group: true, refuses: true, size: 1, before: adopted, after: checkGuarded, tasks: []func(w *world){
			func(w *world) { w.put(1, 11) },
			func(w *world) { w.put(2, 12) },
		}},
		{name: kind + " or expiry", group: true, refuses: true, idle: idle, before: adopted, after: checkGuarded, tasks: []func(w *world){
			func(w *world) { w.put(1, 11) },
			passes(idle),
		}},
		{name: kind + " or rename", group: true, refuses: true, idle: idle, before: adopted, after: checkGuarded, tasks: []func(w *world){
			func(w *world) { w.put(1, 11) },
			func(w *world) { w.move() },
		}},
		{name: kind + " or rename and end", group: true, refuses: true, idle: idle, before: adopted, after: checkGuarded, tasks: []func(w *world){
			func(w *world) { w.move() },
			func(w *world) { w.end(); w.put(1, 11) },
		}},
		{name: kind + " or rename and the end of the new", group: true, refuses: true, idle: idle, before: adopted, after: checkGuarded, tasks: []func(w *world){
			func(w *world) { w.move() },
			func(w *world) { stepped.Call(func() { w.g.Delete(2) }) },
		}},
		{name: kind + " or two renames", group: true, idle: idle, before: adopted, after: movedAlong, tasks: []func(w *world){
			func(w *world) { _ = w.g.Rename(1, 2) },
			func(w *world) { _ = w.g.Rename(2, 3) },
		}},
		{name: kind + " adopts", group: true, refuses: true, idle: idle, before: unadopted, after: checkGuarded, tasks: []func(w *world){
			func(w *world) { w.adopt() },
			func(w *world) { w.end(); w.put(1, 11) },
		}},
	}
}
