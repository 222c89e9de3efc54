package sessionmap_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// Histories of calls that run at the same time are those of a map in which each call takes effect at one moment
// between its beginning and its end. Source of the checker's method: G. Lowe, Testing for linearizability, 2017.

var histories = flag.Int("histories", 150, "how many histories of each kind the linearizability tests check")

type callKind int

const (
	callGet callKind = iota
	callContains
	callSet
	callTake
	callGetOrSet
	callUpdate
	callLen
	callClear
	callClose
	leave // a value leaves that no call took: some time between its being put in and the report
)

func (k callKind) String() string {
	return [...]string{"get", "contains", "set", "take", "get or set", "update", "len", "clear", "close", "leave"}[k]
}

type call struct {
	kind  callKind
	key   int
	value int // that is put in, or that leaves
	cause sessionmap.Cause
}

type outcome struct {
	value int // that was there; of len, how many
	ok    bool
}

// A history is what several goroutines did to a map, in the order of a counter.
type history struct {
	now       atomic.Int64
	nextValue atomic.Int64
	mu        sync.Mutex
	calls     []porcupine.Operation
	put       map[int]int64 // when the call began that put a value in
	met       atomic.Int64  // how often a goroutine has come to where all meet
}

// meet waits until so many goroutines have come so often, so that what they do next overlaps.
func (h *history) meet(goroutines, times int) {
	h.met.Add(1)
	for h.met.Load() < int64(goroutines*times) {
		runtime.Gosched()
	}
}

func (h *history) left(key, value int, cause sessionmap.Cause) {
	switch cause {
	case sessionmap.Idle, sessionmap.Evicted, sessionmap.EvictedCost, sessionmap.SessionDeleted:
	default:
		return
	}
	runtime.Gosched() // in the middle of the call that reports it
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, porcupine.Operation{
		ClientId: 1000 + len(h.calls), Input: call{kind: leave, key: key, value: value, cause: cause}, Call: h.put[value], Return: h.now.Add(1),
	})
}

// do records a call.
func (h *history) do(client int, c call, run func() outcome) {
	began := h.now.Add(1)
	if c.value != 0 {
		h.mu.Lock()
		h.put[c.value] = began
		h.mu.Unlock()
	}
	out := run()
	ended := h.now.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, porcupine.Operation{ClientId: client, Input: c, Output: out, Call: began, Return: ended})
}

// one does one call, chosen at random from kinds.
func (h *history) one(client int, rng *rand.Rand, m *sessionmap.RobustSessionMap[int, int], keys int, kinds []callKind) {
	c := call{kind: kinds[rng.IntN(len(kinds))], key: rng.IntN(keys)}
	if c.kind == callSet || c.kind == callGetOrSet || c.kind == callUpdate {
		c.value = int(h.nextValue.Add(1))
	}
	h.do(client, c, func() (out outcome) {
		switch c.kind {
		case callGet:
			out.value, out.ok = m.Get(c.key)
		case callContains:
			out.ok = m.Contains(c.key)
		case callSet:
			out.ok = m.Set(c.key, c.value)
		case callTake:
			out.value, out.ok = m.Take(c.key)
		case callGetOrSet:
			out.value, out.ok = m.GetOrSet(c.key, c.value)
		case callUpdate:
			value, stored := m.Update(c.key, func(old int, ok bool) (int, bool) {
				runtime.Gosched()
				out = outcome{old, ok}
				return c.value, true
			})
			if !stored || value != c.value { // the map was closed
				out = outcome{}
			}
		case callLen:
			out.value = m.Len()
		case callClear:
			m.Clear()
		case callClose:
			_ = m.Close()
		}
		return out
	})
}

// run has goroutines do calls, each of them together with one of all others, and returns what they did.
func (h *history) run(seed uint64, m *sessionmap.RobustSessionMap[int, int], goroutines, calls, keys int, kinds []callKind, between func(rng *rand.Rand)) []porcupine.Operation {
	var work sync.WaitGroup
	for g := range goroutines {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(g)))
			for i := range calls {
				h.meet(goroutines, i+1)
				h.one(g, rng, m, keys, kinds)
				between(rng)
			}
		})
	}
	work.Wait()
	h.do(goroutines, call{kind: callClose}, func() outcome { _ = m.Close(); return outcome{} })
	return h.calls
}

// A mix says how much of some histories happened at the same time.
type mix struct {
	calls       int
	overlapping int // histories in which calls did
	concurrent  int // calls that did so with another
}

func (x *mix) add(all []porcupine.Operation) {
	before := x.concurrent
	for i, a := range all {
		if a.Input.(call).kind == leave {
			continue
		}
		x.calls++
		for j, b := range all {
			if j != i && b.Input.(call).kind != leave && a.Call < b.Return && b.Call < a.Return {
				x.concurrent++
				break
			}
		}
	}
	if x.concurrent > before {
		x.overlapping++
	}
}

// costs is an option that has those who set a value give way to others before it is stored; the values cost nothing.
var costs = sessionmap.WithMaxCost(1, func(int, int) int64 { runtime.Gosched(); return 0 })

// A slotState is what there is of one key. Where sessions expire a read that overlaps the deadline may miss one that
// another access, which began before the deadline and ended after it, goes on to keep: it found it expired, and by that
// access it was not. So there a read may miss what is there.
type slotState struct {
	value   int
	there   bool
	closed  bool
	expires bool
}

// perKey is the specification of one key.
func perKey(expires bool) porcupine.Model {
	return porcupine.Model{
		Init:              func() any { return slotState{expires: expires} },
		Step:              stepOfKey,
		DescribeOperation: describe,
	}
}

func stepOfKey(state, input, output any) (bool, any) {
	s, c := state.(slotState), input.(call)
	out, _ := output.(outcome)
	found := !out.ok && !s.there || out.ok && s.there && out.value == s.value
	none := slotState{closed: s.closed, expires: s.expires}
	one := slotState{value: c.value, there: true, expires: s.expires}
	missed := s.expires && !out.ok
	switch c.kind {
	case callGet:
		return found || missed, s
	case callContains:
		return out.ok == s.there || missed, s
	case callTake:
		return found, none
	case callSet:
		if s.closed {
			return !out.ok, s
		}
		return out.ok, one
	case callGetOrSet:
		switch {
		case s.closed:
			return !out.ok && out.value == c.value, s
		case s.there:
			return found, s
		}
		return !out.ok && out.value == c.value, one
	case callUpdate:
		if s.closed {
			return !out.ok, s
		}
		return found, one
	case callClear:
		return true, none
	case callClose:
		return true, slotState{closed: true}
	case leave:
		return s.there && s.value == c.value, none
	}
	panic(c.kind)
}

func describe(input, output any) string { return fmt.Sprint(input, " ", output) }

// TestLinearizable checks each key's part of histories in which sessions expire, are swept, evicted, deleted by events
// and cleared, and the map is closed.
func TestLinearizable(t *testing.T) {
	const keys = 6
	var mixed mix
	undecided := 0
	for seed := range uint64(*histories) {
		rng := rand.New(rand.NewPCG(seed, 1<<32))
		h := &history{put: make(map[int]int64)}
		bus := sessionmap.NewBus[int]()
		ttl := []time.Duration{0, time.Microsecond, 20 * time.Microsecond, time.Hour}[rng.IntN(4)]
		opts := []sessionmap.Option{
			sessionmap.WithTTL(ttl), sessionmap.WithMaxSize([]int{2, 4, 100}[rng.IntN(3)]),
			sessionmap.WithSessionDeleted(bus), sessionmap.WithOnRemove(h.left),
		}
		if rng.IntN(2) == 0 {
			opts = append(opts, sessionmap.WithMaxCost(20, func(key, _ int) int64 { runtime.Gosched(); return 1 + int64(key) }))
		}
		kinds := []callKind{callGet, callGet, callContains, callSet, callSet, callTake, callGetOrSet, callUpdate}
		if rng.IntN(3) == 0 {
			kinds = append(kinds, callClear)
		}
		if rng.IntN(5) == 0 {
			kinds = append(kinds, callClose)
		}
		m := sessionmap.MustNew[int, int](opts...)
		all := h.run(seed, m, 2+rng.IntN(15), 30, keys, kinds, func(rng *rand.Rand) {
			switch rng.IntN(8) {
			case 0:
				m.Sweep()
			case 1:
				bus.Publish(rng.IntN(keys))
			case 2:
				runtime.Gosched()
			}
		})
		mixed.add(all)
		for key := range keys {
			of := slices.DeleteFunc(slices.Clone(all), func(o porcupine.Operation) bool {
				c := o.Input.(call)
				return c.kind != callClear && c.kind != callClose && c.key != key
			})
			result, _ := porcupine.CheckOperationsVerbose(perKey(0 < ttl && ttl < time.Hour), of, time.Minute)
			require.NotEqual(t, porcupine.Illegal, result, "seed %d, key %d: %v", seed, key, of)
			if result == porcupine.Unknown {
				undecided++
			}
		}
	}
	t.Logf("kind=key histories=%d calls=%d overlapping=%d concurrent=%d undecided=%d", *histories, mixed.calls, mixed.overlapping, mixed.concurrent, undecided)
}

const boundOfHistories = 3

// A wholeState is a map with a bound: its keys and values, that put in last in front.
type wholeState struct {
	keys, values [boundOfHistories]int
	n            int
	closed       bool
	expires      bool // see slotState
}

func (s wholeState) find(key int) int { return slices.Index(s.keys[:s.n], key) }

// without returns s without the entry at i, front with one more in front.
func (s wholeState) without(i int) wholeState {
	copy(s.keys[i:], s.keys[i+1:s.n])
	copy(s.values[i:], s.values[i+1:s.n])
	s.n--
	s.keys[s.n], s.values[s.n] = 0, 0
	return s
}

func (s wholeState) front(key, value int) wholeState {
	if i := s.find(key); i >= 0 {
		s = s.without(i)
	}
	copy(s.keys[1:], s.keys[:s.n])
	copy(s.values[1:], s.values[:s.n])
	s.keys[0], s.values[0] = key, value
	s.n++
	return s
}

// bounded is the specification of a map with a bound: a new key needs a place, and only a full map evicts. Whom, is
// for the tests of promise 4: of accesses that overlap, the order need not be that of the values they see.
func bounded(expires bool) porcupine.Model {
	return porcupine.Model{
		Init:              func() any { return wholeState{expires: expires} },
		Step:              stepOfMap,
		DescribeOperation: describe,
	}
}

func stepOfMap(state, input, output any) (bool, any) {
	s, c := state.(wholeState), input.(call)
	out, _ := output.(outcome)
	i := s.find(c.key)
	found := !out.ok && i < 0 || out.ok && i >= 0 && out.value == s.values[i]
	room := i >= 0 || s.n < boundOfHistories
	switch c.kind {
	case callGet:
		return found || s.expires && !out.ok, s
	case callTake:
		if found && i >= 0 {
			return true, s.without(i)
		}
		return found, s
	case callSet:
		if s.closed {
			return !out.ok, s
		}
		return out.ok && room, s.front(c.key, c.value)
	case callGetOrSet:
		switch {
		case out.ok:
			return found, s
		case s.closed:
			return out.value == c.value, s
		}
		return out.value == c.value && i < 0 && room, s.front(c.key, c.value)
	case callUpdate:
		if s.closed {
			return !out.ok, s
		}
		return found && room, s.front(c.key, c.value)
	case callLen: // a removal under way may still be counted
		return s.n <= out.value && out.value <= boundOfHistories, s
	case leave:
		if i < 0 || s.values[i] != c.value || c.cause == sessionmap.Evicted && s.n < boundOfHistories {
			return false, s
		}
		return true, s.without(i)
	case callClear:
		return true, wholeState{closed: s.closed, expires: s.expires}
	case callClose:
		return true, wholeState{closed: true}
	}
	panic(c.kind)
}

// TestLinearizableBound checks whole histories of a map that is full most of the time.
func TestLinearizableBound(t *testing.T) {
	const keys = 6
	var mixed mix
	undecided := 0
	for seed := range uint64(*histories) {
		rng := rand.New(rand.NewPCG(seed, 1<<33))
		h := &history{put: make(map[int]int64)}
		bus := sessionmap.NewBus[int]()
		ttl := []time.Duration{0, 0, 20 * time.Microsecond}[rng.IntN(3)]
		opts := []sessionmap.Option{
			sessionmap.WithTTL(ttl), sessionmap.WithMaxSize(boundOfHistories),
			sessionmap.WithSessionDeleted(bus), sessionmap.WithOnRemove(h.left),
		}
		if rng.IntN(2) == 0 {
			opts = append(opts, costs)
		}
		m := sessionmap.MustNew[int, int](opts...)
		kinds := []callKind{callGet, callGet, callGet, callSet, callSet, callTake, callGetOrSet, callUpdate, callLen}
		if rng.IntN(3) == 0 {
			kinds = append(kinds, callClear)
		}
		if rng.IntN(5) == 0 {
			kinds = append(kinds, callClose)
		}
		goroutines := 2 + rng.IntN(15)
		all := h.run(seed, m, goroutines, max(2, 30/goroutines), keys, kinds, func(rng *rand.Rand) {
			switch rng.IntN(12) {
			case 0:
				m.Sweep()
			case 1:
				bus.Publish(rng.IntN(keys))
			}
		})
		mixed.add(all)
		result, _ := porcupine.CheckOperationsVerbose(bounded(ttl > 0), all, 10*time.Second)
		require.NotEqual(t, porcupine.Illegal, result, "seed %d: %v", seed, all)
		if result == porcupine.Unknown {
			undecided++
		}
	}
	t.Logf("kind=bound histories=%d calls=%d overlapping=%d concurrent=%d undecided=%d", *histories, mixed.calls, mixed.overlapping, mixed.concurrent, undecided)
}
