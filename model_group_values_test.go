package sessionmap_test

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// The attributes, indexes and values of a program on a group.

// numbered is an attribute whose values stand for numbers.
type numbered interface {
	get(id int) (int, bool)
	set(id, number int) bool
	getOrSet(id, number int) (int, bool)
	update(id int, fn func(old int, ok bool) (int, bool)) (int, bool)
	take(id int) (int, bool)
	Delete(id int) bool
	all() map[int]int
	Len() int
	Stats() sessionmap.Stats
	index(owner func(number int) string, opts ...sessionmap.Option) *sessionmap.Index[int, string]
}

type numbers[V any] struct {
	*sessionmap.Attribute[int, V]
	value  func(number int) V
	number func(V) int // 0 of the zero value
}

func (n numbers[V]) get(id int) (int, bool) {
	v, ok := n.Get(id)
	return n.number(v), ok
}

func (n numbers[V]) set(id, number int) bool { return n.Set(id, n.value(number)) }

func (n numbers[V]) getOrSet(id, number int) (int, bool) {
	v, ok := n.GetOrSet(id, n.value(number))
	return n.number(v), ok
}

func (n numbers[V]) update(id int, fn func(int, bool) (int, bool)) (int, bool) {
	v, ok := n.Update(id, func(old V, ok bool) (V, bool) {
		number, keep := fn(n.number(old), ok)
		if !keep {
			var none V
			return none, false
		}
		return n.value(number), true
	})
	return n.number(v), ok
}

func (n numbers[V]) take(id int) (int, bool) {
	v, ok := n.Take(id)
	return n.number(v), ok
}

func (n numbers[V]) all() map[int]int {
	all := map[int]int{}
	for id, v := range n.All() {
		all[id] = n.number(v)
	}
	return all
}

func (n numbers[V]) index(owner func(number int) string, opts ...sessionmap.Option) *sessionmap.Index[int, string] {
	return sessionmap.NewIndex(n.Attribute, func(_ int, v V) string { return owner(n.number(v)) }, opts...)
}

func (n numbers[V]) cost() sessionmap.Option {
	return sessionmap.WithCost(func(_ int, v V) int64 { return numberCost(n.number(v)) })
}

// attach makes the attribute, which tells p what leaves: by an option or later.
func (n numbers[V]) attach(p *groupProgram, a *modelAttribute, late bool, opts ...sessionmap.Option) {
	hook := func(id int, v V, cause sessionmap.Cause) { p.hear(groupEvent{a, id, n.number(v), cause}) }
	if !late {
		opts = append(opts, sessionmap.WithOnRemove(hook))
	}
	n.Attribute = sessionmap.NewAttribute[V](p.g, a.name, opts...)
	if late {
		n.OnRemove(hook)
	}
	a.numbered = n
}

// A modelState is a value with a Close. There is one of a number.
type modelState struct {
	number, closed int
	failed         *uint64 // counts the closes that fail
}

func (s *modelState) Close() error {
	turn.Add(1)
	if s.closed++; s.closed > 1 {
		panic("closed twice")
	}
	if s.number%3 == 0 {
		*s.failed++
		return errors.ErrUnsupported
	}
	return nil
}

// addAttribute adds an attribute of one of three kinds by turns: with a cost, with no option, and with a cost and a
// closer.
func (p *groupProgram) addAttribute() {
	kind := len(p.attributes) % 3
	a := &modelAttribute{name: fmt.Sprintf("a%d", len(p.attributes)), costs: kind != 1, removals: make(map[sessionmap.Cause]uint64)}
	p.attributes = append(p.attributes, a)
	switch kind {
	case 0:
		n := numbers[int]{value: func(number int) int { return number }, number: func(v int) int { return v }}
		n.attach(p, a, false, n.cost())
	case 1:
		n := numbers[string]{value: strconv.Itoa, number: func(v string) int {
			number, _ := strconv.Atoi(v)
			return number
		}}
		n.attach(p, a, true)
	default:
		states := p.states
		n := numbers[*modelState]{value: func(number int) *modelState {
			if states[number] == nil {
				states[number] = &modelState{number: number, failed: &a.failedCloses}
			}
			return states[number]
		}, number: func(v *modelState) int {
			if v == nil {
				return 0
			}
			return v.number
		}}
		n.attach(p, a, false, n.cost(), sessionmap.WithCloser())
	}
}

// addIndex adds an index to an attribute, which takes in the sessions that are there, in an order that it tells.
func (p *groupProgram) addIndex(a *modelAttribute, limit sessionmap.LimitAction, most int) {
	x := &modelIndex[*modelSession]{owner: numberOwner(len(a.indexes)), limit: limit, most: most}
	var opts []sessionmap.Option
	if limit != 0 {
		opts = append(opts, sessionmap.WithOwnerLimit(most, limit))
	}
	x.Index = a.index(x.owner, opts...)
	a.indexes = append(a.indexes, x)
	for _, owner := range owners {
		for id := range x.Of(owner) {
			s := p.live(id)
			require.NotNil(p.t, s)
			x.own(s, owner)
		}
	}
	for _, s := range p.alive {
		if number, ok := s.values[a]; ok && p.expired(s) == 0 {
			a.askedOwner(number)
			owner, _ := silently(x.owner, number)
			require.Equal(p.t, owner, x.ownerOf(s))
		}
	}
}

// owners are all there can be.
var owners = []string{"0", "1", "2", "3", "4"}
