package sessionmap

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"
)

// An Option sets one property of a map in [New]. Options are not generic, so that a map's type arguments
// are written once; those that carry a function or a [Source] infer its types and New checks that they
// fit the map's. Of an option given twice the last counts, but for [WithOnRemove] and
// [WithSessionDeleted], which add up.
type Option interface{ sealed() }

// config is what the options say. What is typed by the map's key or value is checked by New.
type config struct {
	idle          time.Duration
	lifetime      time.Duration
	maxSize       int
	maxCost       int64
	cost          any    // func(K, V) int64, and
	costOption    string // the option that gave it
	sweepInterval time.Duration
	strict        bool
	leaseWarning  time.Duration
	closes        bool
	tombstones    time.Duration
	renameGrace   time.Duration
	loadErrorTTL  time.Duration
	refreshAfter  time.Duration
	ownerLimit    int
	ownerAction   LimitAction
	pressure      pressure
	alertRules    AlertRules
	alertHook     func(Alert)
	readHeap      func() heapReading
	coarseStep    time.Duration // 0 is the exact clock
	ctx           context.Context
	name          string
	logger        *slog.Logger
	onRemove      []any // func(K, V, Cause)
	sources       []any // Source[K]

	errs []error
}

// The defaults of the options of the same name.
const (
	DefaultTTL           = 30 * time.Minute
	DefaultMaxSize       = 1000
	DefaultSweepInterval = time.Minute
	DefaultLeaseWarning  = time.Hour
)

// configure reads the options of a map or group, which takes none of those that are others'.
func configure(opts []Option, want string, others ...string) config {
	c := config{readHeap: processHeap.read, idle: DefaultTTL, maxSize: DefaultMaxSize, sweepInterval: DefaultSweepInterval, leaseWarning: DefaultLeaseWarning}
	c.apply(opts, want, func(name string) bool { return !slices.Contains(others, name) })
	if !c.bounded() {
		c.refuse("WithTTL, WithMaxLifetime and WithMaxSize", 0, "at least one above 0, for a map without any can only grow, as can a group with WithMaxTotalCost alone")
	}
	return c
}

// bounded reports whether something ends sessions that nobody deletes. A group's bound on cost does not: its attributes need
// not have one.
func (c *config) bounded() bool {
	return c.idle != 0 || c.lifetime != 0 || c.maxSize != 0 || c.maxCost != 0 && c.cost != nil
}

// apply applies opts, but for those that are not allowed.
func (c *config) apply(opts []Option, want string, allowed func(name string) bool) {
	for i, o := range opts {
		o, ok := o.(option)
		switch {
		case !ok:
			c.refuse(fmt.Sprintf("option %d", i+1), nil, "an Option")
		case !allowed(o.name):
			c.refuse(o.name, "...", want)
		default:
			o.set(c)
		}
	}
}

func (c *config) refuse(option string, value any, allowed string) {
	c.errs = append(c.errs, &OptionError{Option: option, Value: value, Allowed: allowed})
}

// An OptionError tells which option [New] has refused. Where several are wrong New joins their errors;
// errors.As finds the first.
type OptionError struct {
	Option  string // its name, as in "WithTTL"
	Value   any    // what it was given, where that can be told
	Allowed string // what it takes
	Err     error  // the cause, where there is one: a Source's refusal, a context that is done
}

// Error names the option, the value and what is allowed.
func (e *OptionError) Error() string {
	s := fmt.Sprintf("sessionmap: %s(%v): want %s", e.Option, e.Value, e.Allowed)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns Err.
func (e *OptionError) Unwrap() error { return e.Err }

type option struct {
	name string
	set  func(*config)
}

func (option) sealed() {}

// WithTTL sets the idle timeout: an entry ends when it has not been accessed for d. The default is
// [DefaultTTL]; 0 is none, and a negative d is refused. [RobustSessionMap.SetWithTTL] gives single
// entries another one.
func WithTTL(d time.Duration) Option {
	return option{"WithTTL", func(c *config) {
		if d < 0 {
			c.refuse("WithTTL", d, "0 (off) or more")
			return
		}
		c.idle = d
	}}
}

// WithMaxLifetime sets the absolute lifetime: an entry ends this long after it was first set, however
// busy it is. The default, 0, is none; a negative d is refused.
func WithMaxLifetime(d time.Duration) Option {
	return option{"WithMaxLifetime", func(c *config) {
		if d < 0 {
			c.refuse("WithMaxLifetime", d, "0 (off) or more")
			return
		}
		c.lifetime = d
	}}
}

// WithStrictLifetime has the lifetime end leased sessions too. Without it a session that is leased at the end of
// its lifetime ends with its last lease.
func WithStrictLifetime() Option {
	return option{"WithStrictLifetime", func(c *config) { c.strict = true }}
}

// WithLeaseWarning sets for how long a lease may be held before the log and [Stats] tell of it; a sweep looks.
// The default is [DefaultLeaseWarning]; 0 is never, and a negative d is refused.
func WithLeaseWarning(d time.Duration) Option {
	return option{"WithLeaseWarning", func(c *config) {
		if d < 0 {
			c.refuse("WithLeaseWarning", d, "0 (never) or more")
			return
		}
		c.leaseWarning = d
	}}
}

// WithTombstones keeps a deleted session deleted: for the given time after a delete or an event, whether there
// was a session or not, a new one of that key is refused, and its value reported as [Rejected]; so it is after a Rename,
// for the old key. So a straggler that sets its state once more does not undo a logout. The map remembers the last 65536 keys at the least, or
// as many as the size bound says, and takes memory for twice as many at the most. The default is 0, none; a
// negative window is refused.
func WithTombstones(window time.Duration) Option {
	return option{"WithTombstones", func(c *config) {
		if window < 0 {
			c.refuse("WithTombstones", window, "0 (off) or more")
			return
		}
		c.tombstones = window
	}}
}

// WithRenameGrace keeps the old key of a renamed session readable for d, for requests that are under way with it
// (the OWASP session management cheat sheet asks for such a safety interval): reading, touching, leasing, updating and
// deleting by it work as by the new one, as does setting an attribute of a group's session; Set of a map is
// refused. Of these keys as many are remembered as [WithTombstones] says. A Get that misses, of whatever key, may have to take
// the lock: with a thousand renames within d one in sixteen does, with forty thousand nearly all. The default is 0, none; a negative d is refused.
func WithRenameGrace(d time.Duration) Option {
	return option{"WithRenameGrace", func(c *config) {
		if d < 0 {
			c.refuse("WithRenameGrace", d, "0 (off) or more")
			return
		}
		c.renameGrace = d
	}}
}

// WithLoadErrorTTL has [RobustSessionMap.GetOrLoad] return the error of a load to those who ask for the same key
// within d after it, without loading again. The default is 0, off; a negative d is refused.
func WithLoadErrorTTL(d time.Duration) Option {
	return option{"WithLoadErrorTTL", func(c *config) {
		if d < 0 {
			c.refuse("WithLoadErrorTTL", d, "0 (off) or more")
			return
		}
		c.loadErrorTTL = d
	}}
}

// WithRefreshAfter has a [RobustSessionMap.GetOrLoad] that finds a value loaded more than d ago return it, and
// refresh it in the background, so that nobody waits (see [RobustSessionMap.Refresh]). A hit then takes the map's
// lock, as does every Set, and an entry some 150 bytes more. The default is 0, never; a negative d is refused.
func WithRefreshAfter(d time.Duration) Option {
	return option{"WithRefreshAfter", func(c *config) {
		if d < 0 {
			c.refuse("WithRefreshAfter", d, "0 (never) or more")
			return
		}
		c.refreshAfter = d
	}}
}

// WithOwnerLimit is an option of [NewIndex]: an owner may have up to most sessions, and action says what happens to
// one more. It must be above 0.
func WithOwnerLimit(most int, action LimitAction) Option {
	return option{"WithOwnerLimit", func(c *config) {
		switch {
		case most <= 0:
			c.refuse("WithOwnerLimit", most, "more than 0")
		case action != EndOldest && action != RejectNew:
			c.refuse("WithOwnerLimit", action, "EndOldest or RejectNew")
		default:
			c.ownerLimit, c.ownerAction = most, action
		}
	}}
}

// WithMaxSize bounds the number of entries: a new one in a full map takes the place of an expired one or,
// if there is none, of the least recently accessed. The default is [DefaultMaxSize]; 0 is no bound, and a
// negative n is refused.
func WithMaxSize(n int) Option {
	return option{"WithMaxSize", func(c *config) {
		if n < 0 {
			c.refuse("WithMaxSize", n, "0 (no bound) or more")
			return
		}
		c.maxSize = n
	}}
}

// WithSweepInterval sets the least time between two background sweeps, and so how long an expired entry
// may wait for its removal; no method hands it out meanwhile. The default is [DefaultSweepInterval]; d
// must be above 0.
func WithSweepInterval(d time.Duration) Option {
	return option{"WithSweepInterval", func(c *config) {
		if d <= 0 {
			c.refuse("WithSweepInterval", d, "more than 0")
			return
		}
		c.sweepInterval = d
	}}
}

// WithCoarseClock has reads and overwrites take the time from a counter that a timer sets right every step,
// instead of from the system's clock: a Get takes 0.4 to 0.8 of the time in a small map, and 0.8 to 1 in a large
// one (see benchmarks/RESULTS.md). An access may then be taken for one up to a step earlier than it was, and an entry
// may be handed out for up to a step after its deadline; for as much longer as the machine is too busy to
// run the timer. Which entry is the least recently accessed stays exact. All cores write the counter: with
// very many of them the exact clock, which is the default, is the faster one.
//
// A step should be far below the timeouts; otter and others use 10ms. Less than a millisecond is refused.
// The timer does not run while the map is empty. Where the system's own clock is coarse (Windows) or stands
// still (a testing/synctest bubble), it is used as it is, and this option changes nothing.
func WithCoarseClock(step time.Duration) Option {
	return option{"WithCoarseClock", func(c *config) {
		if step < time.Millisecond {
			c.refuse("WithCoarseClock", step, "1ms or more")
			return
		}
		c.coarseStep = step
	}}
}

// WithContext closes the map when ctx is done, as [RobustSessionMap.Close] does. A nil context, or one
// that is done already, is refused. A map dropped without Close leaves a registration of some hundred
// bytes with ctx, none of it the map's.
func WithContext(ctx context.Context) Option {
	return option{"WithContext", func(c *config) {
		if ctx == nil {
			c.refuse("WithContext", nil, "a context")
			return
		}
		if err := context.Cause(ctx); err != nil {
			c.errs = append(c.errs, &OptionError{"WithContext", ctx, "a context that is not done", err})
			return
		}
		c.ctx = ctx
	}}
}

// WithName names the map in logs and [Stats]. The default is no name.
func WithName(name string) Option {
	return option{"WithName", func(c *config) { c.name = name }}
}

// WithLogger sets where the map logs what goes wrong in callbacks and calls. Keys and values are not logged, but
// for what a panic or an error of such a function says. The default is [slog.Default] at the time of New; nil is refused.
func WithLogger(l *slog.Logger) Option {
	return option{"WithLogger", func(c *config) {
		if l == nil {
			c.refuse("WithLogger", "nil", "a *slog.Logger")
			return
		}
		c.logger = l
	}}
}

// WithOnRemove calls fn for every value that leaves the map, as [RobustSessionMap.OnRemove] does. It may be
// given more than once. A nil fn, or one whose types are not the map's, is refused by New.
func WithOnRemove[K comparable, V any](fn func(key K, value V, cause Cause)) Option {
	return option{"WithOnRemove", func(c *config) {
		if fn == nil {
			c.refuse("WithOnRemove", "nil", "a function")
			return
		}
		c.onRemove = append(c.onRemove, fn)
	}}
}

// WithCloser closes every value that leaves the map, after OnRemove has heard of it: those that are an
// io.Closer, have a Close method without a result, or are a func() or context.CancelFunc. That goes for
// [Replaced] values too, unless the new one is the same, and for [Rejected] ones, unless what the session of that key
// has is the same; that a renamed one has it, under another key, is seen within its grace ([WithRenameGrace]). Errors go to
// the log and [Stats]. New refuses it where the map's values can be none of these.
func WithCloser() Option {
	return option{"WithCloser", func(c *config) { c.closes = true }}
}

// WithSessionDeleted subscribes the map to src: an id that src tells of is removed with the cause
// [SessionDeleted]. It may be given more than once. A nil src, or one whose key type is not the map's, is
// refused by New, and New fails where src refuses the subscription.
//
// The events are taken for hints. An id that the map does not hold does no harm, and an entry set, or renamed to the
// id, after the time of the event stays; the zero time means now. An overwrite is no new entry: where an id is used
// again for another session, delete it first, or a late event for the first ends the second; [WithTombstones] refuses such
// an id for its window.
//
// A time from another process has no monotonic reading and is placed by its age on the wall clock. What seems to be
// still to come, because the clocks differ or ours was set back, counts as now, and may end an entry that is younger.
// What seems older than it is, because ours was set forward or the machine has slept, may be ignored: the idle timeout
// is the net under it. A source in the same process should tell time.Now() as it is, or the zero time.
func WithSessionDeleted[K comparable](src Source[K]) Option {
	return option{"WithSessionDeleted", func(c *config) {
		if isNil(src) {
			c.refuse("WithSessionDeleted", "nil", "a Source")
			return
		}
		c.sources = append(c.sources, src)
	}}
}

func (c *config) checkCloser(value reflect.Type) {
	if c.closes && !closable(value) {
		c.refuse("WithCloser", value, "values that can be closed")
	}
}

func isNil(src any) bool {
	v := reflect.ValueOf(src)
	switch v.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Chan, reflect.Slice:
		return v.IsNil()
	}
	return false
}

// typed converts what an option holds to the type that fits the map.
func typed[T any](c *config, option string, given []any) []T {
	var all []T
	for _, g := range given {
		t, ok := g.(T)
		if !ok {
			c.refuse(option, reflect.TypeOf(g), reflect.TypeFor[T]().String()+", the types of the map")
			continue
		}
		all = append(all, t)
	}
	return all
}
