package sessionmap_test

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sessionmap/sessionmap"
)

// Sources of session.deleted events that do everything wrong.

// A wire is what events go through on their way from a faulty source to a map.
type wire struct {
	t     testing.TB
	m     *sessionmap.RobustSessionMap[int, *thing]
	rng   *rand.Rand
	named map[int]time.Time // when a session was renamed to an id
	fresh func(id int)      // begins a session of id, unless the map refuses it
	turn  chan struct{}     // has an element while somebody uses the map or delivers events, so that what an event does can be told
	held  []event

	deleted   func(id int, at time.Time)
	meant     [chaosKeys]atomic.Bool // an event for this session is on its way into the map
	delivered atomic.Int64
	met       int // how many of those that deliver handed over there was a session for
}

type event struct {
	id int
	at time.Time
}

// Subscribe makes the wire a Source.
func (w *wire) Subscribe(deleted func(id int, at time.Time)) (cancel func(), err error) {
	w.deleted = deleted
	return func() {}, nil
}

// deliver hands an event to the map and checks that it ends the session that it means, and no later one. It needs the turn.
func (w *wire) deliver(id int, at time.Time) {
	session, ok := w.m.Entry(id)
	if ok {
		w.met++
	}
	w.hand(id, at)
	switch now, still := w.m.Entry(id); {
	case !ok:
	case !at.IsZero() && (at.Before(session.Created) || at.Before(w.named[id])):
		assert.True(w.t, still && now.Created.Equal(session.Created), "an event of %v has ended a session of %v", at, session.Created)
	default:
		assert.False(w.t, still, "an event of %v has not ended a session of %v", at, session.Created)
	}
}

// hand is deliver without the check.
func (w *wire) hand(id int, at time.Time) {
	w.delivered.Add(1)
	if 0 <= id && id < chaosKeys {
		w.meant[id].Store(true)
	}
	w.deleted(id, at)
}

// later delivers an event after a while.
func (w *wire) later(after time.Duration, id int, at time.Time) {
	go func() {
		time.Sleep(after)
		w.turn <- struct{}{}
		w.deliver(id, at)
		<-w.turn
	}()
}

// wireFaults are what can happen to the event that a session is deleted now. They have the turn.
var wireFaults = []struct {
	name string
	send func(w *wire, id int)
}{
	{"lost", func(*wire, int) {}},
	{"doubled", func(w *wire, id int) {
		at := time.Now()
		w.deliver(id, at)
		for range 2 {
			w.deliver(id, at)
			time.Sleep(time.Nanosecond)
			w.fresh(id)
			w.deliver(id, at) // means the one before
		}
	}},
	{"delayed", func(w *wire, id int) { w.later(time.Duration(w.rng.Int64N(int64(2*idle))), id, time.Now()) }},
	{"delayed, by the wall clock", func(w *wire, id int) {
		w.later(time.Duration(w.rng.Int64N(int64(2*idle))), id, time.Now().Round(0))
	}},
	{"reordered", func(w *wire, id int) {
		if w.held = append(w.held, event{id, time.Now()}); len(w.held) < 8 {
			return
		}
		w.rng.Shuffle(len(w.held), func(i, j int) { w.held[i], w.held[j] = w.held[j], w.held[i] })
		for _, e := range w.held {
			w.deliver(e.id, e.at)
		}
		w.held = nil
	}},
	{"of the past", func(w *wire, id int) {
		for _, at := range []time.Time{time.Now().Add(-1), time.Now().Add(-24 * time.Hour), time.Now().Add(-1 << 62), time.Unix(0, 0), time.Unix(-1<<60, 0), time.Time{}.Add(1)} {
			w.deliver(id, at)
		}
	}},
	{"of the future", func(w *wire, id int) {
		for _, at := range []time.Time{time.Now().Add(1), time.Now().Add(1 << 62), time.Unix(1<<60, 0), time.Unix(1<<34, 0)} {
			w.fresh(id)
			w.deliver(id, at)
		}
	}},
	{"without a time", func(w *wire, id int) { w.deliver(id, time.Time{}) }},
	{"from many goroutines", func(w *wire, id int) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { w.hand(id, time.Now()) })
		}
		wg.Wait()
		assert.False(w.t, w.m.Contains(id))
	}},
	{"among a flood", func(w *wire, id int) {
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 50 {
					w.hand(chaosKeys+g*50+i, time.Now())               // nobody's
					w.hand(i%chaosKeys, time.Now().Add(-24*time.Hour)) // of sessions long gone
				}
			})
		}
		wg.Wait()
		w.deliver(id, time.Now())
	}},
	{"by callbacks too", func(w *wire, id int) {
		cancel := w.m.OnRemove(func(key int, _ *thing, _ sessionmap.Cause) {
			w.hand(key, time.Now())
			w.hand((key+1)%chaosKeys, time.Now())
		})
		defer cancel()
		w.deliver(id, time.Now())
	}},
}

// TestWorldSources runs random programs on maps with faulty sources.
func TestWorldSources(t *testing.T) {
	total, metInAll := 0, 0
	for i, fault := range wireFaults {
		t.Run(fault.name, func(t *testing.T) {
			for round := range 5 * *faults {
				sent, met := runOnWire(t, uint64(round*len(wireFaults)+i), fault.send)
				total += sent
				metInAll += met
			}
		})
	}
	injected(t, "sources", total)
	t.Logf("events: met=%d", metInAll)
}

// runOnWire returns how many events went over the wire, and how many met a session.
func runOnWire(t *testing.T, seed uint64, send func(w *wire, id int)) (sent, met int) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 2))
		w := &wire{t: t, rng: rng, turn: make(chan struct{}, 1)}
		opts := []sessionmap.Option{sessionmap.WithTTL(idle), sessionmap.WithSessionDeleted(w)}
		if seed%2 == 0 {
			opts = append(opts, sessionmap.WithMaxLifetime(lifetime), sessionmap.WithMaxSize(chaosKeys/2), sessionmap.WithTombstones(time.Minute))
		}
		c := newChaos(t, rng.IntN, func(key int) {
			sent++
			send(w, key)
		}, opts...)
		w.m, w.named = c.m, c.named
		w.fresh = func(id int) {
			if seed%2 == 0 {
				time.Sleep(time.Minute) // the tombstone
			}
			v := c.thing()
			c.took(id, v, c.m.Set(id, v))
		}
		c.m.OnRemove(func(key int, _ *thing, cause sessionmap.Cause) {
			if cause == sessionmap.SessionDeleted {
				assert.True(t, w.meant[key].Load(), "session %d ended by an event, and there was none", key)
			}
		})
		for i := range 2000 {
			w.turn <- struct{}{}
			if rng.IntN(4) == 0 {
				c.publish(rng.IntN(chaosKeys))
			} else {
				c.step()
			}
			<-w.turn
			time.Sleep(time.Duration(rng.IntN(2)) * time.Second) // others deliver
			if i%200 == 0 {
				synctest.Wait()
				w.turn <- struct{}{}
				c.check()
				<-w.turn
			}
		}
		c.clears()
		assert.NoError(t, c.m.Close())
		for id := range chaosKeys {
			w.hand(id, time.Now()) // after cancel
		}
		time.Sleep(2 * idle) // for what is still on its way
		c.check()
		met = w.met
	})
	return sent, met
}

// TestEventOfTheFuture: an event of whatever moment to come means the session that is there now.
func TestEventOfTheFuture(t *testing.T) {
	for _, at := range []time.Time{time.Now().Add(time.Hour), time.Now().Add(1 << 62), time.Now().Round(0).Add(time.Hour), time.Unix(1<<34, 0), time.Unix(1<<40, 0), time.Unix(1<<60, 0)} {
		var deleted func(int, time.Time)
		m := newMap[int, int](t, sessionmap.WithTombstones(time.Minute), toldBy(&deleted))
		m.Set(1, 1)
		deleted(1, at)
		assert.False(t, m.Contains(1), "%v", at)
	}
}

// TestWorldSourceFlood has many goroutines tell of deleted sessions as fast as they can while others use the map.
func TestWorldSourceFlood(t *testing.T) {
	const floods, users = 6, 2
	events := 300_000 * *faults
	var books ledger
	bus := sessionmap.NewBus[int]()
	m := sessionmap.MustNew[int, *thing](sessionmap.WithSessionDeleted(bus), sessionmap.WithMaxSize(500), sessionmap.WithOnRemove(books.left))
	start := time.Now()
	var flooding, using sync.WaitGroup
	var stop atomic.Bool
	for g := range floods {
		flooding.Go(func() {
			for i := range events {
				bus.Publish(i * (g + 1) % 1000)
			}
		})
	}
	for g := range users {
		using.Go(func() {
			for i := 0; !stop.Load() && i < 200_000; i++ {
				v := books.thing()
				m.Set((i*7+g)%1000, v)
				books.put(v)
				m.Get(i % 1000)
			}
		})
	}
	flooding.Wait()
	took := time.Since(start)
	stop.Store(true)
	using.Wait()
	for id := range 1000 {
		bus.Publish(id)
	}
	assert.Zero(t, m.Len(), "every event ends the session that is there")
	assert.NoError(t, sessionmap.CheckInvariants(m))
	assert.NoError(t, m.Close())
	assert.NoError(t, sessionmap.CheckInvariants(m))
	books.balance(t, nil, m.Stats())
	t.Logf("faults: kind=flood injected=%d milliseconds=%d sets=%d", floods*events, took.Milliseconds(), len(books.fates))
}

// TestWorldSubscribe: sources that fail to subscribe leave nothing behind, whatever they do instead.
func TestWorldSubscribe(t *testing.T) {
	n, release := 0, make(chan struct{})
	for name, subscribe := range map[string]sessionmap.SourceFunc[int]{
		"panics":  func(func(int, time.Time)) (func(), error) { panic("subscribe") },
		"exits":   func(func(int, time.Time)) (func(), error) { runtime.Goexit(); return nil, nil },
		"blocks":  func(func(int, time.Time)) (func(), error) { <-release; return nil, errors.New("too late") },
		"refuses": func(func(int, time.Time)) (func(), error) { return func() { panic("cancel") }, errors.New("refused") },
		"keeps calling": func(deleted func(int, time.Time)) (func(), error) {
			go func() {
				for id := range 1000 {
					deleted(id, time.Now())
				}
			}()
			deleted(1, time.Time{})
			return nil, errors.New("refused")
		},
	} {
		t.Run(name, func(t *testing.T) {
			n++
			before := sessionmap.NewBus[int]() // the source before the faulty one
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				m, err := sessionmap.New[int, *thing](silent, sessionmap.WithSessionDeleted(before), sessionmap.WithSessionDeleted(subscribe))
				assert.Nil(t, m)
				assert.Error(t, err)
			}()
			if name == "blocks" {
				before.Publish(1)
				release <- struct{}{}
			}
			<-ended
			for name == "exits" && sessionmap.Subscribers(before) > 0 { // New has not come to undo it: an event finds the map collected
				runtime.GC()
				before.Publish(1)
			}
			assert.Zero(t, sessionmap.Subscribers(before))
		})
	}
	injected(t, "subscribe", n)
}

// TestWorldCancel: Close ends, and has reported all, whatever the cancel of a source does.
func TestWorldCancel(t *testing.T) {
	type source struct {
		m       *sessionmap.RobustSessionMap[int, *thing]
		books   *ledger
		deleted func(int, time.Time)
		release chan struct{}
	}
	n := 0
	for name, cancel := range map[string]func(s source){
		"panics": func(source) { panic("cancel") },
		"exits":  func(source) { runtime.Goexit() },
		"blocks": func(s source) { <-s.release },
		"calls": func(s source) {
			for id := range 10 {
				s.deleted(id, time.Now())
			}
		},
		"sets":   func(s source) { v := s.books.thing(); s.m.Set(1, v); s.books.put(v) },
		"closes": func(s source) { assert.NoError(t, s.m.Close()) },
		"cancels twice at once": func(s source) {
			s.deleted(1, time.Now())
			go func() { _ = s.m.Close() }()
			runtime.Goexit()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var books ledger
				s := source{books: &books, release: make(chan struct{})}
				called := 0
				s.m = sessionmap.MustNew[int, *thing](silent, sessionmap.WithOnRemove(books.left), sessionmap.WithSessionDeleted(sessionmap.SourceFunc[int](
					func(deleted func(int, time.Time)) (func(), error) {
						s.deleted = deleted
						return func() { called++; cancel(s) }, nil
					})))
				for id := range 10 {
					v := books.thing()
					s.m.Set(id, v)
					books.put(v)
				}
				n++
				err := s.m.Close()
				assert.Equal(t, name == "blocks", errors.Is(err, sessionmap.ErrCloseTimeout), "%v", err)
				close(s.release)
				assert.NoError(t, s.m.Close())
				assert.Equal(t, 1, called)
				s.deleted(1, time.Now())
				books.balance(t, nil, s.m.Stats())
				assert.NoError(t, sessionmap.CheckInvariants(s.m))
			})
		})
	}
	injected(t, "cancel", n)
}
