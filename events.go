package sessionmap

import (
	"errors"
	"fmt"
	"iter"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"time"
	"weak"
)

// A Cause tells why a value left the map. Each value leaves once, with one cause.
type Cause uint8

// The causes. A backstop is a removal that nobody asked for: the net under a session.deleted event that
// never came.
const (
	Replaced       Cause = iota + 1 // overwritten by Set or Update, be it by an equal value
	Deleted                         // by Delete, Take, DeleteFunc, Update, DeleteBy, or the end of a Scope or a Run
	SessionDeleted                  // by an event from a Source
	Idle                            // not accessed for the idle timeout (backstop)
	Lifetime                        // at the end of the lifetime (backstop)
	Evicted                         // least recently accessed in a map full by size, or oldest of an owner at the limit (backstop)
	EvictedCost                     // least recently accessed in a map full by cost (backstop)
	Pressure                        // least recently accessed when the process was short of memory (backstop)
	Cleared                         // by Clear
	Closed                          // by Close, or the end of the map's context
	ContextDone                     // by the end of the session's context
	Rejected                        // never stored: see Set
	causes
)

var causeNames = [causes]string{"none", "replaced", "deleted", "session deleted", "idle", "lifetime", "evicted", "evicted for cost", "memory pressure", "cleared", "closed", "context done", "rejected"}

// String returns the cause in words, as in "session deleted".
func (c Cause) String() string {
	if c < causes {
		return causeNames[c]
	}
	return fmt.Sprintf("Cause(%d)", uint8(c))
}

// MarshalText returns the cause as a name for machines, as in "session_deleted": for JSON, and as a label of metrics.
func (c Cause) MarshalText() ([]byte, error) {
	return []byte(strings.ReplaceAll(c.String(), " ", "_")), nil
}

// Causes returns an iterator over all causes.
func Causes() iter.Seq[Cause] {
	return func(yield func(Cause) bool) {
		for c := Replaced; c < causes && yield(c); c++ {
		}
	}
}

// Backstop reports whether the removal was not explicit: for idleness, lifetime, size, cost or memory pressure.
func (c Cause) Backstop() bool { return Idle <= c && c <= Pressure }

// A Source tells of deleted sessions: a host's event emitter, a message bus. Subscribe registers deleted,
// which may be called from any goroutine, at any time, for any id, and is not held up by callbacks of other
// calls; at is when the session was deleted, the zero time meaning now. cancel, which may be nil, ends the subscription;
// a call that comes later does no harm.
type Source[K comparable] interface {
	Subscribe(deleted func(id K, at time.Time)) (cancel func(), err error)
}

// A SourceFunc is a function that serves as a [Source].
type SourceFunc[K comparable] func(deleted func(id K, at time.Time)) (cancel func(), err error)

// Subscribe calls f.
func (f SourceFunc[K]) Subscribe(deleted func(id K, at time.Time)) (cancel func(), err error) {
	return f(deleted)
}

// A Bus is a [Source] within the process: what is published on it reaches every map that was made with it.
// It is safe for concurrent use and must not be copied. NewBus makes one.
type Bus[K comparable] struct {
	subscribers roster[func(id K, at time.Time)]
}

// NewBus returns a Bus without subscribers.
func NewBus[K comparable]() *Bus[K] { return &Bus[K]{} }

// Publish tells every subscriber that the session id is deleted as of now. Maps report the removal on the
// caller's goroutine before it returns. It holds no lock: a subscriber may publish, subscribe and cancel. One that
// panics or ends the goroutine (runtime.Goexit) does so once all others have been told.
func (b *Bus[K]) Publish(id K) {
	at := time.Now()
	var tell []func()
	for _, deleted := range b.subscribers.all() {
		tell = append(tell, func() { (*deleted)(id, at) })
	}
	runAll(tell)
}

// Subscribe registers deleted until cancel is called, and never fails. A Publish under way when cancel is
// called may still reach deleted.
func (b *Bus[K]) Subscribe(deleted func(id K, at time.Time)) (cancel func(), err error) {
	return b.subscribers.add(deleted), nil
}

// subscribe registers the map with src, which gets to hold it by a weak pointer only.
func (m *RobustSessionMap[K, V]) subscribe(src Source[K]) error {
	self := weak.Make(m)
	sub := &subscription{callbacks: m.callbacks}
	refused := func(err error) error {
		return &OptionError{"WithSessionDeleted", reflect.TypeOf(src), "a Source that accepts the subscription", err}
	}
	var cancel func()
	var err error
	if !m.callbacks.run("Subscribe", func() {
		cancel, err = src.Subscribe(func(id K, at time.Time) {
			if m := self.Value(); m != nil {
				m.sessionDeleted(id, at)
			} else {
				sub.abandon()
			}
		})
	}) {
		return refused(errors.New("Subscribe panicked"))
	}
	if err != nil {
		return refused(err)
	}
	sub.begin(cancel)
	m.onClose(sub.end)
	if !m.clock.inBubble() { // a cleanup runs outside, and must not touch what the source may have in one
		runtime.AddCleanup(m, (*subscription).abandon, sub)
	}
	return nil
}

// sessionDeleted is what a source calls.
func (m *RobustSessionMap[K, V]) sessionDeleted(id K, at time.Time) {
	m.remove(id, SessionDeleted, m.clock.reading(at))
}

// A subscription is cancelled once, also if it ends before Subscribe has returned its cancel.
type subscription struct {
	callbacks *callbacks
	mu        sync.Mutex
	cancel    func() // guarded by mu, as is ended
	ended     bool
}

func (s *subscription) begin(cancel func()) {
	s.mu.Lock()
	if cancel != nil {
		s.cancel = func() { s.callbacks.run("cancel", cancel) }
	}
	ended := s.ended
	s.mu.Unlock()
	if ended {
		s.end()
	}
}

func (s *subscription) end() {
	if cancel := s.take(); cancel != nil {
		cancel()
	}
}

// abandon ends the subscription of a map that was dropped without Close: on another goroutine, for the source may hold a
// lock that cancel takes, or take its time.
func (s *subscription) abandon() {
	if cancel := s.take(); cancel != nil {
		go cancel()
	}
}

// take marks the subscription as ended and returns what remains to be called for that, if anything.
func (s *subscription) take() (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cancel, s.cancel, s.ended = s.cancel, nil, true
	return cancel
}
