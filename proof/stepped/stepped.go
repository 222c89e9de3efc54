// Package stepped has the types of sync and sync/atomic that the library uses, in a form that stops before each of its
// operations until it is told to go on. In their place (see proof/explore) they let one goroutine run at a time, in
// every order that matters: an Explorer runs the same few goroutines again and again, each time with their steps in
// another order.
//
// An operation is a step of its own; what a goroutine does between two operations belongs to the first. That is all
// there is to see for other goroutines as long as what is shared is read and written by such operations, or guarded by
// a Mutex, which is for the race detector to find out.
//
// Goroutines that the library starts, by a go statement or a timer, are taken in with their first operation. What
// waits for a channel is known by synctest.Wait: an execution therefore runs in a bubble.
package stepped

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"
	"unsafe"
)

// An operation is what a task is about to do.
type operation struct {
	name   string
	object unsafe.Pointer // what it acts on
	writes bool
	mutex  *Mutex        // has to be free
	pause  time.Duration // passes first
}

// conflicts reports whether the order of a and b can make a difference.
func (a operation) conflicts(b operation) bool {
	return a.pause > 0 || b.pause > 0 || a.object == b.object && (a.writes || b.writes)
}

// A task is a goroutine that takes steps.
type task struct {
	id      int
	next    operation
	waiting bool // at next, until resumed
	asleep  bool // see Explorer
	resume  chan struct{}
	begun   string // where its goroutine began, and how it came to its first operation
}

// A run is one execution. While it is under way one goroutine runs at a time: the director, or the task it resumed.
type run struct {
	director uintptr
	choose   func(r *run, ready []*task) *task // nil to give up
	always   func() error

	mu      sync.Mutex
	tasks   []*task           // by id
	arrived []*task           // that have no id yet
	of      map[uintptr]*task // by goroutine
	left    int               // tasks given to it that have not returned
	current *task
	steps   int
	trace   []string // of the steps; nil if nobody wants it
}

// The execution under way; nil while there is none, and operations are what they are in sync/atomic.
var active atomic.Pointer[run]

// step waits until the goroutine may go on with an operation.
func step(next operation) {
	r := active.Load()
	if r == nil {
		return
	}
	g := getg()
	if g == r.director {
		return
	}
	r.await(r.taskOf(g), next)
}

func (r *run) await(t *task, next operation) {
	t.next, t.waiting = next, true
	<-t.resume
}

func (r *run) taskOf(g uintptr) *task {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.of[g]
	if t == nil {
		t = &task{resume: make(chan struct{}), begun: stack()}
		r.arrived = append(r.arrived, t)
		r.of[g] = t
	}
	return t
}

func stack() string {
	var s strings.Builder
	pcs := make([]uintptr, 30)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		frame, more := frames.Next()
		fmt.Fprintln(&s, frame.Function, frame.Line)
		if !more {
			return s.String()
		}
	}
}

// number gives ids to those who have arrived: the same in every execution, though several arrive at once in any order.
func (r *run) number() {
	slices.SortFunc(r.arrived, func(a, b *task) int { return strings.Compare(a.begun, b.begun) })
	for _, t := range r.arrived {
		t.id = len(r.tasks)
		r.tasks = append(r.tasks, t)
	}
	r.arrived = r.arrived[:0]
}

// did tells those who are asleep of an operation.
func (r *run) did(done operation) {
	for _, t := range r.tasks {
		if t.asleep && t.next.conflicts(done) {
			t.asleep = false
		}
	}
}

// did tells that something has been done which is no step.
func did(done operation) {
	if r := active.Load(); r != nil {
		r.did(done)
	}
}

// What has returned so far is an object too: calls read it when they begin, and write it when they return.
var returned = unsafe.Pointer(new(byte))

// Call is a call of the library whose place among those of other tasks matters: whether they returned before it began.
func Call(call func()) {
	step(operation{name: "call", object: returned})
	call()
	did(operation{object: returned, writes: true})
}

// Tick is a step in which time passes, and what is due then begins. Before there are steps time.Sleep does that.
func Tick(d time.Duration) {
	if active.Load() == nil {
		panic("stepped: Tick outside of an execution")
	}
	step(operation{name: "tick", pause: d})
}

const (
	mostSteps = 20_000
	longWait  = 3 // seconds that tasks may wait for
)

// execute runs the functions until all have returned, and what they started waits or has ended. It returns false if
// choose gave up: the tasks have then run to their end in some order.
func (r *run) execute(fns []func()) (complete bool, err error) {
	r.director, r.of, r.left = getg(), make(map[uintptr]*task), len(fns)
	active.Store(r)
	defer active.Store(nil)
	for _, fn := range fns {
		go func() {
			defer func() {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.left--
				delete(r.of, getg())
			}()
			step(operation{name: "start"})
			fn()
		}()
		synctest.Wait()
		r.number()
	}
	gaveUp := false
	for waited := 0; ; {
		synctest.Wait()
		r.number()
		ready, pending := r.ready()
		switch {
		case len(ready) > 0:
		case r.left == 0 && !pending:
			return !gaveUp, nil
		case waited == longWait:
			return false, fmt.Errorf("deadlock: %d tasks have not returned", r.left)
		default:
			waited++
			time.Sleep(time.Second)
			continue
		}
		if r.steps++; r.steps > mostSteps {
			return false, fmt.Errorf("no end after %d steps", mostSteps)
		}
		if err := r.always(); err != nil {
			return false, err
		}
		t := ready[0]
		if !gaveUp {
			if t = r.choose(r, ready); t == nil {
				gaveUp, t = true, ready[0]
			}
		}
		r.resume(t)
	}
}

// ready returns the tasks that can go on, and whether there are others that wait to do so.
func (r *run) ready() (ready []*task, pending bool) {
	for _, t := range r.tasks {
		if !t.waiting {
			continue
		}
		pending = true
		if t.next.mutex == nil || !t.next.mutex.held {
			ready = append(ready, t)
		}
	}
	return ready, pending
}

func (r *run) resume(t *task) {
	if r.trace != nil {
		r.trace = append(r.trace, fmt.Sprintf("%d: %s %p", t.id, t.next.name, t.next.object))
	}
	if t.next.pause > 0 {
		time.Sleep(t.next.pause)
		synctest.Wait()
	}
	r.did(t.next)
	r.current, t.waiting, t.asleep = t, false, false
	t.resume <- struct{}{}
}
