//go:build explore

package main_test

import (
	"fmt"
	"iter"

	"github.com/sessionmap/sessionmap"
)

// A store is what a map and the attributes of a group have in common.
type store interface {
	Get(key int) (int, bool)
	Set(key, value int) bool
	Take(key int) (int, bool)
	GetOrSet(key, value int) (int, bool)
	Update(key int, fn func(old int, ok bool) (int, bool)) (int, bool)
	All() iter.Seq2[int, int]
	Len() int
	Sweep() int
	Clear() int
	Close() error
}

// A grouped is a group of two attributes. Its keys 1 and 2 are those of session 1, its keys 3 and 4 those of session 2.
type grouped struct {
	*sessionmap.Group[int]
	attributes [2]*sessionmap.Attribute[int, int]
}

func newGrouped(w *world) grouped {
	g := grouped{Group: w.g}
	for i, name := range []string{"odd", "even"} {
		options := []sessionmap.Option{sessionmap.WithOnRemove(func(id, v int, cause sessionmap.Cause) {
			w.left(2*id-1+i, v, cause)
		})}
		if w.costs {
			options = append(options, sessionmap.WithCost(func(_, v int) int64 { return int64(v) }))
		}
		g.attributes[i] = sessionmap.NewAttribute[int](w.g, name, options...)
	}
	return g
}

// of returns the attribute and the session that key stands for.
func (g grouped) of(key int) (a *sessionmap.Attribute[int, int], id int) {
	return g.attributes[(key+1)%2], (key + 1) / 2
}

func (g grouped) Get(key int) (int, bool)  { a, id := g.of(key); return a.Get(id) }
func (g grouped) Set(key, value int) bool  { a, id := g.of(key); return a.Set(id, value) }
func (g grouped) Take(key int) (int, bool) { a, id := g.of(key); return a.Take(id) }
func (g grouped) GetOrSet(key, value int) (int, bool) {
	a, id := g.of(key)
	return a.GetOrSet(id, value)
}
func (g grouped) Update(key int, fn func(old int, ok bool) (int, bool)) (int, bool) {
	a, id := g.of(key)
	return a.Update(id, fn)
}

func (g grouped) All() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for i, a := range g.attributes {
			for id, v := range a.All() {
				if !yield(2*id-1+i, v) {
					return
				}
			}
		}
	}
}

// end deletes session 1, with all that it has.
func (w *world) end() {
	w.do(call{kind: end}, func() outcome { w.g.Delete(1); return outcome{} })
}

// move renames session 1 to 2.
func (w *world) move() {
	w.do(call{kind: move}, func() outcome { return outcome{ok: w.g.Rename(1, 2) == nil} })
}

// newAttributeIndex makes an index of the first attribute. The owner of a session is its value.
func (w *world) newAttributeIndex() {
	a, _ := w.store.(grouped).of(1)
	w.index = sessionmap.NewIndex(a, func(_, v int) int { return v })
}

// indexedAttribute checks that each session that has the attribute, and no other, is in its index.
func indexedAttribute(w *world) error {
	a, id := w.store.(grouped).of(1)
	present, _ := a.Get(id)
	for v := range w.values {
		want := 0
		if v == present {
			want = 1
		}
		if n := w.index.Count(v); n != want {
			return fmt.Errorf("%d sessions of owner %d, want %d", n, v, want)
		}
	}
	return nil
}

var groupScenarios = []scenario{
	{name: "attributes begin a session", group: true, size: 2, tasks: []func(w *world){
		func(w *world) { w.set(1, 11); w.get(2) },
		func(w *world) { w.set(2, 12); w.get(1) },
	}},
	{name: "attribute or the end of the session", group: true, size: 2, before: filled(1, 2), tasks: []func(w *world){
		func(w *world) { w.set(1, 11); w.get(1) },
		func(w *world) { w.end(); w.get(2) },
	}},
	{name: "attribute or two ends", group: true, size: 2, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.set(2, 12) },
		func(w *world) { w.end() },
		func(w *world) { w.end(); w.get(1) },
	}},
	{name: "attribute, delete, end", group: true, size: 2, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.take(1); w.set(1, 11) },
		func(w *world) { w.getOrSet(1, 12) },
		func(w *world) { w.end() },
	}},
	{name: "attribute updates", group: true, size: 2, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.update(1, 11) },
		func(w *world) { w.update(1, 12); w.get(1) },
		func(w *world) { w.end() },
	}},
	{name: "attribute or eviction", group: true, size: 1, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.set(1, 11); w.set(2, 12) },
		func(w *world) { w.set(3, 13) },
	}},
	{name: "attribute or expiry", group: true, idle: idle, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.set(2, 12); w.get(1) },
		func(w *world) { w.get(2) },
		passes(idle),
	}},
	{name: "attribute or rename", group: true, size: 2, before: filled(1, 2), tasks: []func(w *world){
		func(w *world) { w.set(1, 11); w.get(3) },
		func(w *world) { w.move(); w.get(4) },
	}},
	{name: "attribute or rename and end", group: true, size: 2, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.set(2, 12) },
		func(w *world) { w.move() },
		func(w *world) { w.end() },
	}},
	{name: "attribute with a cost or two ends", group: true, costs: true, size: 2, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.set(1, 11) },
		func(w *world) { w.end(); w.set(1, 12) },
	}},
	{name: "attributes with a cost begin a session", group: true, costs: true, size: 2, tasks: []func(w *world){
		func(w *world) { w.set(1, 11); w.take(1) },
		func(w *world) { w.set(2, 12); w.end() },
	}},
	{name: "attribute or close", group: true, size: 2, before: filled(1), tasks: []func(w *world){
		func(w *world) { w.set(1, 11); w.set(2, 12) },
		func(w *world) { w.shut() },
	}},
	{name: "new index of an attribute, take", group: true, size: 2, before: filled(1), after: indexedAttribute, tasks: []func(w *world){
		func(w *world) { w.take(1) },
		func(w *world) { w.newAttributeIndex() },
	}},
	{name: "new index of an attribute, set", group: true, size: 2, before: filled(2), after: indexedAttribute, tasks: []func(w *world){
		func(w *world) { w.set(1, 11); w.set(1, 12) },
		func(w *world) { w.newAttributeIndex() },
	}},
}
