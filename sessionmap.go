// Package sessionmap keeps state that belongs to a session, and lets go of it when the session ends, be it
// by an explicit delete, by a session.deleted event, or, where neither ever comes, by an idle timeout, a
// lifetime, a bound on the number of entries or their cost, memory pressure, or Close. Each layer works when all others
// fail.
//
// Unlike a cache it never drops what was set: no admission policy, no per-shard capacity, no expiry that a
// running access loses against, and every value that leaves is reported once, with its cause.
//
// # How it works
//
// Reading a session costs a lookup and a stamp: no lock, no list. What changes which entries exist goes
// through one lock, in small steps. What leaves is handed to the owner after the lock is released.
//
//	Get ── hash ──► table ──► entry {key, value, accessed, ...} ── accessed = now
//	Set (existing key) ──────► the same, and swap the value
//	Set (new) / Delete / event / sweep / evict ──► lock ──► policy ──► unlock ──► OnRemove
//	                                                          │
//	   table.go  which entries there are: a hash table   ◄────┤
//	             that is read without a lock                  │
//	   lru.go    which was accessed least recently: a    ◄────┤
//	             list of batches, each of a span of time;     │
//	             who looks for the oldest entry finds by      │
//	             its stamp whether it has to be filed anew    │
//	   notes.go  what the readers of a large map touched ◄────┤
//	   ttl.go    deadlines, and when to sweep            ◄────┘
//
// options.go has the options of New, events.go the sources of session.deleted events and the removal causes,
// report.go the callbacks, roster.go lists of them, clock.go the time, stats.go the counters; entry.go says how the
// goroutines that meet at one entry agree, box.go how it holds its value.
//
// What sessions need beyond that stands on two small things: ties.go, what is tied to the life of one entry, and
// recent.go, what is remembered of keys that have none.
//
//	lease.go   a leased entry has the end of time for its last access, and is in no order and no heap
//	ties.go    the end of an entry by a context, and the end of a context by an entry
//	rename.go  another entry in the place of one, with its ties; tombstones, and names that are still good
//	load.go    loads, and who may veto one
//	cost.go    what a value asks for besides a place: room within the bound on cost, its owner's leave
//	index.go   whose a session is, kept in the same moment
//	group.go   a map of session.go's sessions, which have a slot for each attribute.go; guard.go
//	weak.go    on its own: values that go with their objects
//
// And so that the owner sees what goes on:
//
//	memory.go    the process's heap, and the sessions that leave when it is too large; sizeof.go
//	alert.go     a look at the figures, every now and then, and what to do about them
//	registry.go  the maps and groups of the process
//
// # What it costs
//
// Measured on two cores with string ids of 36 bytes and pointer values (benchmarks/RESULTS.md has the peers beside
// it). A Get takes about 60 ns with 1000 entries, of which the clock is 25, the hash 8, and the bare lookup of a
// concurrent map 15; with a million, when nothing is in the processor's caches, 550 to 1000. Getting the same from a bare
// map and stamping it takes 50, and 400 to 800. An overwrite takes as much, a new entry in a full map 300 to 750
// and one allocation. An entry takes 94 bytes besides its key's and value's: 64 for itself, about 20 in the table and 10 in
// the order of access. Expired entries are removed at 4 million a second, in steps of 128.
//
// # Time
//
// Time is Go's monotonic clock: steps of the wall clock change nothing. Where that clock stands still
// while the machine is suspended (Linux, macOS), so do the timeouts: a session has as long to live after
// a laptop's lid opens as it had when it closed, and none is lost unused; where it goes on (Windows) the
// suspended time counts. In a testing/synctest bubble the map lives in the bubble's time.
//
// # Keys and values
//
// Any value may be stored, a nil pointer too. The zero key is a key like any other. A key that is not
// equal to itself (a floating-point NaN) could be neither found nor deleted, and a key of an interface
// type that holds something not comparable cannot be looked up: setting such a key is refused, and
// reading it finds nothing.
package sessionmap

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// A RobustSessionMap holds one value a session. It is safe for concurrent use and must not be copied; New
// makes one, the zero value is not usable.
//
// A Get takes no lock and allocates nothing; what adds or removes an entry takes the map's lock for a
// bounded time, whatever the number of entries (but see [NewIndex]). Callbacks run with no lock held and may call
// any method, Close included. A panic in one is caught, counted and logged, and the call goes on as if the callback
// had not been there.
//
// For state that can be loaded again at any time, and where it does not matter which entry is dropped
// when, a cache is the simpler choice.
type RobustSessionMap[K comparable, V any] struct {
	reporter[K, V]

	clock       clock
	timeouts    timeouts
	id          uint64 // in the registry
	maxSize     int
	maxCost     int64
	cost        costRule[K, V] // nil if it is not measured
	name        string
	seed        maphash.Seed
	dynamicKeys bool // K has an interface in it, so that hashing a key can fail

	traces       traces // of renamed keys
	refreshAfter int64  // age at which a loaded value is loaded anew; 0 is never
	leaseWarning int64  // age of a lease that is worth a warning; 0 is never
	lost         atomic.Pointer[lostRecord]
	pressure     pressure
	shedder      shedder
	watch        watch
	readHeap     func() heapReading

	policy   atomic.Pointer[policy[K, V]] // replaced as a whole, with mu held, by Clear and Close
	loads    loads[K, V]
	crew     crew
	rules    roster[ownerRule[K, V]] // of the indexes over this map's values
	reported chan struct{}           // closed when Close has reported all entries
	shut     chan struct{}           // closed when it has nothing left to wait for

	// mu guards all that follows, and every change of which entries exist. No user code runs and nothing
	// blocks while it is held, and nobody holds it for more than a bounded number of entries, or of the loads under way.
	mu         sync.Mutex
	closed     atomic.Bool          // read without mu by those to whom a moment ago will do
	renamed    func(value V, key K) // told with the lock held; nil for nothing
	sweeper    alarm
	ticker     alarm // of a coarse clock
	presser    alarm // of memory pressure
	watcher    alarm // of the figures
	keys       keyMemory[K]
	indexes    int      // how many there are
	unreleased int      // leases, be it on sessions that have been cleared
	cancels    []func() // end the subscriptions and the watch on the context

	renameLogs []*renameLog[K, V] // of the walks under way
}

// New makes a map. Without options an entry ends 30 minutes after its last access, and the least recently
// accessed of 1000 gives way to a new one. An option that makes no sense is an error, an [*OptionError]
// that names it and its value; then nothing has been started.
func New[K comparable, V any](opts ...Option) (*RobustSessionMap[K, V], error) {
	m, err := newMap[K, V](configure(opts, "an option of a map: this one is an Index's or a Group's", "WithOwnerLimit", "WithMaxTotalCost"))
	if err != nil {
		return nil, err
	}
	self := weak.Make(m)
	m.register(func() instance {
		if m := self.Value(); m != nil {
			return m
		}
		return nil
	})
	return m, nil
}

func newMap[K comparable, V any](c config) (*RobustSessionMap[K, V], error) {
	hooks := typed[func(K, V, Cause)](&c, "WithOnRemove", c.onRemove)
	sources := typed[Source[K]](&c, "WithSessionDeleted", c.sources)
	cost := costOf[K, V](&c)
	c.checkCloser(reflect.TypeFor[V]())
	if err := errors.Join(c.errs...); err != nil {
		return nil, err
	}
	if c.logger == nil {
		c.logger = slog.Default()
	}
	m := &RobustSessionMap[K, V]{
		clock:        newClock(c.coarseStep > 0),
		timeouts:     timeouts{int64(c.idle), int64(c.lifetime), c.strict},
		maxSize:      c.maxSize,
		maxCost:      c.maxCost,
		cost:         cost,
		pressure:     c.pressure,
		readHeap:     c.readHeap,
		name:         c.name,
		seed:         maphash.MakeSeed(),
		dynamicKeys:  hasInterface(reflect.TypeFor[K]()),
		leaseWarning: int64(c.leaseWarning),
		refreshAfter: int64(c.refreshAfter),
		shut:         make(chan struct{}),
		reported:     make(chan struct{}),
	}
	m.reporter.init(c)
	m.keys.init(c, &m.traces)
	m.policy.Store(m.newPolicy())
	for _, fn := range hooks {
		m.hooks.add(fn)
	}
	self := weak.Make(m)
	m.sweeper = newAlarm(c.sweepInterval, func() {
		if m := self.Value(); m != nil {
			m.sweepInBackground()
		}
	})
	m.ticker = newAlarm(c.coarseStep, func() {
		if m := self.Value(); m != nil {
			m.tick()
		}
	})
	m.watch.rules, m.watch.hook = c.alertRules.withDefaults(len(sources) > 0), c.alertHook
	m.watcher = newAlarm(watchEvery, func() {
		if m := self.Value(); m != nil {
			m.lookAround()
		}
	})
	m.presser = newAlarm(time.Duration(nearLook), func() {
		if m := self.Value(); m != nil {
			m.look()
		}
	})
	if !m.clock.inBubble() { // a cleanup runs outside, and must not touch the timers of one
		runtime.AddCleanup(m, stopTimers, [4]*timerSlot{m.sweeper.timer, m.ticker.timer, m.presser.timer, m.watcher.timer})
	}
	for _, src := range sources {
		if err := m.subscribe(src); err != nil {
			m.Close()
			return nil, err
		}
	}
	if c.ctx != nil {
		stop := context.AfterFunc(c.ctx, func() {
			if m := self.Value(); m != nil {
				if err := m.Close(); err != nil {
					m.callbacks.warn("sessionmap: closing for the context", "error", err)
				}
			}
		})
		m.onClose(func() { m.callbacks.run("WithContext", func() { stop() }) }) // the context may be of any kind
	}
	return m, nil
}

// MustNew is like [New] but panics on an error. It is for options that are constants of the program.
func MustNew[K comparable, V any](opts ...Option) *RobustSessionMap[K, V] {
	m, err := New[K, V](opts...)
	if err != nil {
		panic(err)
	}
	return m
}

// Get returns the value of key, and whether it is there. A hit is an access. It takes no lock and allocates
// nothing, but for one Get in 256 or so in a map that has had more than 4096 entries: where the lock happens to
// be free, that one files what all have touched. It waits for the lock where key is just being renamed, deleted by
// a function, or released by its last lease; where key is a former one ([WithRenameGrace], which says when another that
// misses waits, too); and on a clock that steps where it is just looked at for an eviction.
func (m *RobustSessionMap[K, V]) Get(key K) (V, bool) {
	hash, ok := m.hash(key)
	if ok {
		if box := m.access(hash, key); box != nil {
			m.counters.lane().hits.Add(1)
			return m.values.open(box), true
		}
	}
	m.counters.lane().misses.Add(1)
	var none V
	return none, false
}

// Peek is like [RobustSessionMap.Get], but no access, and not counted in [Stats].
func (m *RobustSessionMap[K, V]) Peek(key K) (V, bool) {
	if _, box := m.peek(key); box != nil {
		return m.values.open(box), true
	}
	var none V
	return none, false
}

// Contains reports whether key is there. It is no access, and takes no lock but where [RobustSessionMap.Get] does.
func (m *RobustSessionMap[K, V]) Contains(key K) bool {
	_, box := m.peek(key)
	return box != nil
}

// Touch is an access to key without reading it, and reports whether it is there. It takes no lock but where
// [RobustSessionMap.Get] does.
func (m *RobustSessionMap[K, V]) Touch(key K) bool {
	hash, ok := m.hash(key)
	return ok && m.access(hash, key) != nil
}

// Set stores value under key, with the map's idle timeout, which also replaces one given by
// [RobustSessionMap.SetWithTTL]. It is an access. What was there before is reported as [Replaced], be it
// the same pointer as value: a callback that releases values must tell. The lifetime goes on from the
// first Set. stored is false, and value reported as [Rejected], when the map is closed, or full of leased sessions, when
// the key is none that can be found again (see the package comment), or is to stay deleted ([WithTombstones],
// [WithRenameGrace]), when its owner has too many ([WithOwnerLimit]), and when value costs too much ([WithMaxCost]).
//
// Overwriting takes no lock and allocates the space of the value, none for a pointer; a new key takes the lock, as does
// an overwrite that changes the idle timeout, and any in a map with an index, a cost or [WithRefreshAfter].
func (m *RobustSessionMap[K, V]) Set(key K, value V) (stored bool) {
	return m.set(key, value, m.values.box(value), m.timeouts.idle)
}

// SetWithTTL is like [RobustSessionMap.Set] with an idle timeout of the entry's own, 0 being none. It is
// also refused, value being reported as [Rejected], when idle is negative, or when it is 0 and the map has
// neither a lifetime nor a bound, so that the entry could stay for ever; the log says so. It costs what Set does.
func (m *RobustSessionMap[K, V]) SetWithTTL(key K, value V, idle time.Duration) (stored bool) {
	if idle < 0 || idle == 0 && m.timeouts.lifetime == 0 && m.maxSize == 0 && m.maxCost == 0 {
		m.reject(key, value, nil)
		m.callbacks.warn("sessionmap: SetWithTTL refused: want an idle timeout above 0, or 0 where the map has a lifetime or a bound", "idle", idle)
		return false
	}
	return m.set(key, value, m.values.box(value), int64(idle))
}

// GetOrSet returns the value of key if it is there, and else stores value. The loaded result reports
// whether it was there, be it by a former key ([WithRenameGrace]). Either is an access. On a map that refuses value, as Set
// would, it returns value with loaded false, after reporting it as [Rejected]. It takes the lock only to store.
func (m *RobustSessionMap[K, V]) GetOrSet(key K, value V) (actual V, loaded bool) {
	hash, ok := m.hash(key)
	var box *boxed[V]
	if ok {
		box = m.access(hash, key)
	}
	if box == nil {
		box, _ = m.insert(key, value)
	}
	if box == nil {
		m.counters.lane().misses.Add(1)
		return value, false
	}
	m.counters.lane().hits.Add(1)
	return m.values.open(box), true
}

// Update replaces the value of key by what fn makes of it, atomically: fn gets the old value, and whether
// there is one; it returns the new one, and whether to keep it. Update returns what then is the key's
// value, and whether there is one.
//
// Storing is an access, and reports the old value as [Replaced], be it the same pointer as the new one;
// keep false removes the entry with the cause [Deleted]. fn runs without a lock and may run again when
// another goroutine changes the entry meanwhile, so it should do nothing but compute; what a lost run
// returned is forgotten. To append to a slice is to write to the old one's array, unless that is clipped:
// append(slices.Clip(old), x). If fn panics nothing changes. On a closed map fn is not called; where the map
// refuses the new value, as Set would, it is reported as [Rejected]. It takes the lock where Set does, and to remove.
func (m *RobustSessionMap[K, V]) Update(key K, fn func(old V, ok bool) (value V, keep bool)) (V, bool) {
	var none V
	for !m.closed.Load() {
		p := m.policy.Load()
		e, box := m.peek(key)
		var old, value V
		var keep bool
		if box != nil {
			old = m.values.open(box)
		}
		if !m.callbacks.run("Update", func() { value, keep = fn(old, box != nil) }) {
			return old, box != nil
		}
		switch {
		case !keep && box == nil:
			return none, false
		case !keep:
			if removed, _ := m.removeIf(key, e, box); removed {
				return none, false
			}
		case box == nil:
			if present, stored := m.insert(key, value); stored {
				return value, true
			} else if present == nil {
				return none, false
			}
		default:
			switch m.replaceIf(p, e, box, value) {
			case exchanged:
				return value, true
			case exchangeRefused:
				return old, true
			}
		}
	}
	return none, false
}

// Delete removes key, with the cause [Deleted], and reports whether it was there. What a GetOrLoad of key that is under
// way loads is not stored then. It takes the lock, unless there is nothing to remove or to remember.
func (m *RobustSessionMap[K, V]) Delete(key K) bool {
	_, ok := m.Take(key)
	return ok
}

// Take is like [RobustSessionMap.Delete] and returns the value. It is reported to OnRemove like any other
// removal: where callbacks release values, Take returns a released one.
func (m *RobustSessionMap[K, V]) Take(key K) (V, bool) {
	return m.remove(key, Deleted, never)
}

// An Entry tells the times of one entry, by the wall clock as it is when it is asked.
type Entry struct {
	Created     time.Time     // when the session was first set, under whatever key
	LastAccess  time.Time     // when it was last accessed; now if it is leased
	Deadline    time.Time     // when it expires unless accessed before; the zero time if never, as while a lease keeps it
	IdleTimeout time.Duration // 0 is none
	Cost        int64         // of its values; see WithCost
	Leases      int           // held on it now
}

// Entry returns the times of key, and whether it is there. It is no access, and takes no lock but where
// [RobustSessionMap.Get] does.
func (m *RobustSessionMap[K, V]) Entry(key K) (Entry, bool) {
	for e, box := m.peek(key); box != nil; e, box = m.present(e) { // again if it has just been renamed
		if entry, ok := m.entry(e); ok {
			return entry, true
		}
	}
	return Entry{}, false
}

// entry returns the times of e, if it is live.
func (m *RobustSessionMap[K, V]) entry(e *entry[K, V]) (Entry, bool) {
	last, ok := m.stampOf(e)
	if !ok {
		return Entry{}, false
	}
	idle := e.idle(m.timeouts)
	entry := Entry{Created: m.clock.time(e.created), LastAccess: m.clock.time(min(last.accessed, m.clock.now())), IdleTimeout: time.Duration(idle)}
	if t := e.ties(); t != nil {
		entry.Cost, entry.Leases = t.cost.Load(), int(t.leases.Load())
	}
	if at := m.timeouts.deadline(last.accessed, idle, e.created); at != never {
		entry.Deadline = m.clock.time(at)
	}
	return entry, true
}

// Stats returns the map's figures. It is no access and takes no lock.
func (m *RobustSessionMap[K, V]) Stats() Stats {
	s := m.counters.stats()
	s.Name, s.Live, s.CallbackPanics = m.name, m.Len(), m.callbacks.panics.Load()
	p := m.policy.Load()
	s.Leases, s.OverdueLeases = int(p.leases.held.Load()), int(p.leases.late.Load())
	s.MaxSize, s.Cost, s.MaxCost = m.maxSize, p.cost.Load(), m.maxCost
	return s
}

// OnRemove calls fn for every value that leaves the map from now on, until cancel is called. A removal by
// a call is reported on that call's goroutine before it returns, so that calls one after the other report
// in order; those of background sweeps, memory pressure, events, contexts, loads and Close on a goroutine of theirs,
// also after cancel if they are under way. With several callbacks each value goes to all, in the order of their
// registration. A callback that blocks holds up the call it belongs to, or further background sweeps or steps for memory
// pressure of its map, and nothing else. One that sets again what it is told of never ends, for in a full or closed map
// that is the next removal. A nil fn is ignored.
func (m *RobustSessionMap[K, V]) OnRemove(fn func(key K, value V, cause Cause)) (cancel func()) {
	if fn == nil {
		return func() {}
	}
	return m.hooks.add(fn)
}

// Sweep removes what is expired now, reports it, and returns how many entries that were. The map does so
// by itself in the background; Sweep is for those who want it sooner. It costs what it removes.
func (m *RobustSessionMap[K, V]) Sweep() int { return m.sweep() }

// Close ends the map: its entries leave with the cause [Closed], subscriptions, sweeps and loads end, and from
// then on every Set is refused. It returns when all is reported and no goroutine of the map is left. A
// callback that blocks cannot hang it: it then returns [ErrCloseTimeout] after five seconds, with that
// callback's goroutine left behind and nothing else. Close may be called any number of times, from any
// goroutine. From inside a callback it waits for less: the first call for the callbacks of the entries that it ends, a later
// one for nothing.
func (m *RobustSessionMap[K, V]) Close() error {
	nested := inCallback()
	m.mu.Lock()
	first := !m.closed.Load()
	if first {
		was := m.policy.Swap(m.newPolicy())
		m.closed.Store(true) // now: whoever is refused for that finds nothing any more
		unregister(m.id)
		m.keys.clear()
		go m.shutDown(was, m.cancels, m.crew.dismiss(), m.sweeper.stop(), m.ticker.stop(), m.presser.stop(), m.watcher.stop())
	}
	m.mu.Unlock()
	m.loads.cancelAll()

	awaited := m.shut
	switch {
	case nested && !first:
		return nil
	case nested:
		awaited = m.reported
	}
	timeout := time.NewTimer(closeGrace)
	defer timeout.Stop()
	select {
	case <-awaited:
		return nil
	case <-timeout.C:
		return ErrCloseTimeout
	}
}

// closeGrace is how long Close waits for callbacks and for the cancel functions of sources.
const closeGrace = 5 * time.Second

// ErrCloseTimeout is what Close returns when a callback, or a source's cancel, has not returned in time.
var ErrCloseTimeout = errors.New("sessionmap: Close: a callback is still running after " + closeGrace.String())

// shutDown finishes what Close began: it reports the entries of the policy that was, cancels the
// subscriptions, and waits for what loads and alarms have under way.
func (m *RobustSessionMap[K, V]) shutDown(was *policy[K, V], cancels []func(), working ...<-chan struct{}) {
	var cancelled sync.WaitGroup
	for _, cancel := range cancels {
		cancelled.Go(cancel)
	}
	defer func() { // deferred, for a callback may end its goroutine
		close(m.reported)
		cancelled.Wait()
		for _, ended := range working {
			if ended != nil {
				<-ended
			}
		}
		close(m.shut)
	}()
	m.endAll(was, Closed)
}
