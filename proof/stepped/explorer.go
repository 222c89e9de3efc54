package stepped

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// An Explorer runs the tasks of a scenario in every order with up to Bound preemptions: switches from a task that could
// have gone on. Where a task cannot, all the others are tried, at no cost. Most faults of concurrent programs need two
// preemptions at most (Musuvathi and Qadeer, "Iterative context bounding for systematic testing of multithreaded
// programs", PLDI 2007).
//
// A task that is preempted falls asleep until another has done what conflicts with its next operation: to go on before
// that would be to have taken that operation before the preemption, an order that is tried anyway (sleep sets:
// Godefroid, "Partial-order methods for the verification of concurrent systems", 1996). Executions in which only
// sleepers are left are given up.
type Explorer struct {
	Bound int
	Trace bool // failures tell all steps

	path        []choice
	rng         *rand.Rand // nil but for orders by chance
	given       []int      // the order to follow, by task; nil but in a replay
	executions  int        // that ran to their end, or failed
	steps       int
	redundant   int // executions given up
	preemptions int // in this execution
	depth       int
	order       []int // of this execution, by task
	diverged    bool
}

// A choice is which of the options, numbers of tasks, was taken.
type choice struct {
	taken   int
	options []int
}

// A Scenario is what an execution is made of; it is made anew for each.
type Scenario struct {
	Tasks  []func()
	Always func() error // before each step
	Check  func() error // at the end of a complete execution
	Close  func() error // at the end of each
}

// Executions returns how many executions there were, how many steps they had together, and how many more were given up
// as redundant.
func (x *Explorer) Executions() (executions, steps, redundant int) {
	return x.executions, x.steps, x.redundant
}

// Execute runs the scenario once, in the order that is next. It is to be called in a bubble of its own.
func (x *Explorer) Execute(s Scenario) error {
	x.preemptions, x.depth, x.diverged, x.order = 0, 0, false, x.order[:0]
	r := &run{choose: x.choose, always: s.Always}
	if x.Trace {
		r.trace = []string{}
	}
	complete, err := r.execute(s.Tasks)
	if err == nil && x.diverged {
		err = fmt.Errorf("not as before after %d choices: the scenario leaves something to chance", x.depth)
	}
	if err == nil && complete {
		err = s.Check()
	}
	if err == nil {
		err = s.Close()
	}
	if complete || err != nil {
		x.executions++
	} else {
		x.redundant++
	}
	x.steps += r.steps
	if err != nil {
		return fmt.Errorf("%w\nin the order %s\n%s", err, x.Order(), strings.Join(r.trace, "\n"))
	}
	return nil
}

func (x *Explorer) choose(r *run, ready []*task) *task {
	goesOn := slices.Contains(ready, r.current)
	options := make([]int, 0, 8)
	if goesOn {
		options = append(options, r.current.id)
	}
	if !goesOn || x.preemptions < x.Bound {
		for _, t := range ready {
			if t != r.current && !t.asleep {
				options = append(options, t.id)
			}
		}
	}
	if len(options) == 0 {
		return nil
	}
	id := x.take(options, goesOn)
	if goesOn && id != r.current.id {
		x.preemptions++
		r.current.asleep = x.rng == nil && x.given == nil
	}
	x.order = append(x.order, id)
	return r.tasks[id]
}

// take makes the next choice.
func (x *Explorer) take(options []int, goesOn bool) int {
	at := x.depth
	x.depth++
	switch {
	case x.given != nil:
		if at < len(x.given) && slices.Contains(options, x.given[at]) {
			return x.given[at]
		}
		if at < len(x.given) {
			x.diverged = true
		}
		return options[0]
	case x.rng != nil:
		if goesOn && x.rng.IntN(8) > 0 {
			return options[0]
		}
		return options[x.rng.IntN(len(options))]
	case at == len(x.path):
		x.path = append(x.path, choice{options: options})
	}
	c := x.path[at]
	if !slices.Equal(c.options, options) {
		x.diverged = true
		return options[0]
	}
	return options[c.taken]
}

// Next goes on to the next order. It returns false when there is none left.
func (x *Explorer) Next() bool {
	for i := len(x.path) - 1; i >= 0; i-- {
		if c := &x.path[i]; c.taken+1 < len(c.options) {
			c.taken++
			x.path = x.path[:i+1]
			return true
		}
	}
	return false
}

// Random has the executions to come be in orders by chance, without a bound.
func (x *Explorer) Random(rng *rand.Rand) { x.Bound, x.rng = math.MaxInt, rng }

// Order returns the order of the last execution, for Replay: which task took how many steps, as in 0*12 1*3 0*1.
func (x *Explorer) Order() string {
	var words []string
	for i := 0; i < len(x.order); {
		from := i
		for ; i < len(x.order) && x.order[i] == x.order[from]; i++ {
		}
		words = append(words, fmt.Sprintf("%d*%d", x.order[from], i-from))
	}
	return strings.Join(words, " ")
}

// Replay has the executions to come follow an order.
func (x *Explorer) Replay(order string) error {
	x.Bound, x.given = math.MaxInt, []int{}
	for word := range strings.FieldsSeq(order) {
		var id, steps int
		if _, err := fmt.Sscanf(word, "%d*%d", &id, &steps); err != nil {
			return fmt.Errorf("order %q: want one like 0*12 1*3 0*1: %w", order, err)
		}
		x.given = append(x.given, slices.Repeat([]int{id}, steps)...)
	}
	return nil
}
