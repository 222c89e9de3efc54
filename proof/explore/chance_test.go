//go:build explore

package main_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/sessionmap/sessionmap"
	"github.com/sessionmap/sessionmap/proof/stepped"
)

// A program has the tasks of a scenario made by chance: what nobody thought of.
type program struct {
	*rand.Rand
	scenario
	keys   int
	kinds  []string               // what its steps are chosen from
	value  int                    // the last that a step puts in
	told   []string               // the steps of the tasks
	with   string                 // which options there are
	checks []func(w *world) error // of the end
}

// byChance returns scenario number n of those that are made by chance, the same each time.
func byChance(n int) scenario {
	p := &program{Rand: rand.New(rand.NewPCG(uint64(n), 0)), value: 100, keys: 2}
	p.size = p.IntN(4)
	if p.size == 0 || p.IntN(4) == 0 {
		p.idle = idle
	}
	p.fine = p.IntN(4) == 0
	fill := filled([]int{1, 2}[:p.IntN(3)]...)
	if p.size == 0 && p.IntN(2) == 0 { // so many that what readers touch is noted
		fill, p.keys = filled(1, 2, 3, 4, 5), 5
	}
	p.before = fill
	kinds := []string{"get", "set", "take", "get or set", "update", "update away", "clear", "close"}
	if p.group = p.IntN(3) == 0; p.group {
		p.keys, p.costs = 4, p.IntN(2) == 0
		kinds = append(kinds, "end") // and no rename: what overlaps one may come to its end under the new id
	} else {
		kinds = append(kinds, "peek", "delete by value", "load", "refresh", "lease", "event", "rename")
		if p.IntN(4) == 0 {
			p.option("tombstones", sessionmap.WithTombstones(time.Hour))
			p.refuses = true
		}
		if p.IntN(4) == 0 {
			p.option("cost", sessionmap.WithMaxCost(2, func(int, int) int64 { return 1 }))
		}
		if p.idle > 0 {
			kinds = append(kinds, "set idle")
			if p.IntN(4) == 0 {
				p.option("lifetime", sessionmap.WithMaxLifetime(2*idle))
			}
		}
		if p.IntN(4) == 0 {
			p.with += " index"
			p.before = func(w *world) { w.newIndex(); fill(w) }
			p.checks = append(p.checks, indexed)
		} else {
			kinds = append(kinds, "new index")
		}
	}
	if p.idle > 0 {
		kinds = append(kinds, "pass", "sweep")
	}
	p.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	p.kinds = kinds[:4]             // the same few meet again and again
	p.apart("rename", "refresh")    // the history would have to tell under which key that came to its end
	p.apart("update away", "close") // nor does a call tell that it came to nothing because of that
	p.refuses = p.refuses || slices.Contains(p.kinds, "lease")
	for range 2 + p.IntN(2) {
		p.told = append(p.told, "")
		p.tasks = append(p.tasks, p.task())
	}
	if !p.group && !slices.Contains(p.kinds, "rename") {
		p.checks = append(p.checks, noOlder)
	}
	p.after = func(w *world) (err error) {
		for _, check := range p.checks {
			err = errors.Join(err, check(w))
		}
		return err
	}
	p.name = fmt.Sprintf("chance %d group %v size %d idle %v fine %v%s:%s", n, p.group, p.size, p.idle, p.fine, p.with, strings.Join(p.told, " |"))
	return p.scenario
}

// apart has one of two kinds go where both are chosen.
func (p *program) apart(kind, other string) {
	if slices.Contains(p.kinds, kind) {
		p.kinds = slices.DeleteFunc(p.kinds, func(k string) bool { return k == other })
	}
}

func (p *program) option(name string, o sessionmap.Option) {
	p.with += " " + name
	p.options = append(p.options, o)
}

func (p *program) task() func(w *world) {
	var steps []func(w *world)
	for range 1 + p.IntN(2) {
		steps = append(steps, p.step())
	}
	return func(w *world) {
		for _, step := range steps {
			step(w)
		}
	}
}

func (p *program) step() func(w *world) {
	kind, key, other := p.kinds[p.IntN(len(p.kinds))], 1+p.IntN(p.keys), 1+p.IntN(p.keys+1)
	p.value++
	value := p.value
	p.told[len(p.told)-1] += fmt.Sprintf(" %s %d %d %d,", kind, key, other, value)
	switch kind {
	case "get":
		return func(w *world) { w.get(key) }
	case "peek":
		return func(w *world) { w.peek(key) }
	case "set":
		return func(w *world) { w.set(other, value) }
	case "set idle":
		return func(w *world) { w.setIdle(key, value, 2*idle) }
	case "take":
		return func(w *world) { w.take(key) }
	case "get or set":
		return func(w *world) { w.getOrSet(key, value) }
	case "update":
		return func(w *world) { w.update(key, value) }
	case "update away":
		return func(w *world) { w.updateAway(key) }
	case "delete by value":
		return func(w *world) { w.deleteValue(10 * key) }
	case "load":
		return func(w *world) { w.load(key, value) }
	case "refresh":
		return func(w *world) { w.refresh(key, value) }
	case "lease":
		within := func(*world) {}
		if p.IntN(2) == 1 {
			within = p.step()
		}
		return func(w *world) { w.lease(key, func() { within(w) }) }
	case "event":
		return func(w *world) { w.bus.Publish(key) }
	case "new index":
		p.kinds = slices.DeleteFunc(slices.Clone(p.kinds), func(k string) bool { return k == kind }) // one is enough
		p.checks = append(p.checks, indexed)
		return func(w *world) { w.newIndex() }
	case "rename":
		return func(w *world) { w.rename(key, other) }
	case "end":
		return func(w *world) { w.end() }
	case "clear":
		return func(w *world) { w.clear() }
	case "close":
		return func(w *world) { w.shut() }
	case "sweep":
		return func(w *world) { w.store.Sweep() }
	case "pass":
		return func(*world) { stepped.Tick(idle / 2) }
	}
	panic(kind)
}
