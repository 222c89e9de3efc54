package leakcheck

import (
	"errors"
	"fmt"
)

// An Option sets how [Rounds] and [Benchmark] run and judge. Of an option given twice the last counts.
type Option interface{ sealed() }

type config struct {
	rounds    int
	warmup    int
	threshold figures

	errs []error
}

const (
	defaultRounds = 20
	minRounds     = 5 // with fewer no growth is certain: two points always have a slope
	defaultWarmup = 3

	defaultBytes   = 256  // a round: a quarter of a leak of 1 KB
	defaultObjects = 4    // what the testing package keeps of a line logged each round is less
	goroutineShare = 0.25 // of a goroutine a round: one every four rounds
)

func configure(opts []Option) (config, error) {
	c := config{
		rounds: defaultRounds, warmup: defaultWarmup,
		threshold: figures{heapBytes: defaultBytes, objects: defaultObjects, goroutines: goroutineShare},
	}
	for i, o := range opts {
		set, ok := o.(option)
		if !ok {
			c.refuse(fmt.Sprintf("option %d", i+1), o, "an Option")
			continue
		}
		set(&c)
	}
	return c, errors.Join(c.errs...)
}

func (c *config) refuse(option string, value any, allowed string) {
	c.errs = append(c.errs, fmt.Errorf("leakcheck: %s(%v): want %s", option, value, allowed))
}

type option func(*config)

func (option) sealed() {}

// atLeast is an option that takes an int.
func atLeast(name string, n, least int, set func(*config)) Option {
	return option(func(c *config) {
		if n < least {
			c.refuse(name, n, fmt.Sprintf("%d or more", least))
			return
		}
		set(c)
	})
}

// WithRounds sets how many rounds are judged: 20 by default, and 5 at the least. More find smaller leaks among
// noise, and those that come less often.
func WithRounds(n int) Option {
	return atLeast("WithRounds", n, minRounds, func(c *config) { c.rounds = n })
}

// WithWarmup sets how many rounds are run before those that are judged: 3 by default. A negative n is refused.
func WithWarmup(n int) Option {
	return atLeast("WithWarmup", n, 0, func(c *config) { c.warmup = n })
}

// WithThreshold sets how many bytes the live heap may grow a round: 256 by default. A negative number is refused. The
// runtime's own objects make the heap of an idle process vary by some ten bytes, so that less than 50 finds little
// more. The number of objects is judged on its own, see [WithObjectThreshold].
func WithThreshold(bytesPerRound int) Option {
	return atLeast("WithThreshold", bytesPerRound, 0, func(c *config) {
		c.threshold[heapBytes] = float64(bytesPerRound)
	})
}

// WithObjectThreshold sets how many live objects may be added a round: 4 by default. A negative number is refused.
func WithObjectThreshold(objectsPerRound int) Option {
	return atLeast("WithObjectThreshold", objectsPerRound, 0, func(c *config) {
		c.threshold[objects] = float64(objectsPerRound)
	})
}
