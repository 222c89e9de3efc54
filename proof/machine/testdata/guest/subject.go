//go:build linux

package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sessionmap/sessionmap"
)

const (
	timeout    = 2 * time.Second // all of the library's
	coarseStep = 10 * time.Millisecond
	patience   = 20 * time.Second // for what is left to the sweeper, on a slow machine
)

type sessions = sessionmap.RobustSessionMap[string, int]

// A subject is a set of maps that is made at one time, of one clock.
type subject struct {
	name   string
	coarse time.Duration // 0 is the exact clock

	looked *sessions // swept once at the most: only looking tells that something is expired
	swept  *sessions // by itself, with nobody looking
	aged   *sessions // with a lifetime, and swept
	keeps  *sessions // what the library remembers of keys, for as long as the timeout is

	bus     *sessionmap.Bus[string]
	deliver func(id string, at time.Time) // an event to looked

	removals sync.Map // of swept and aged: the key to its *removal
}

type removal struct {
	at    atomic.Int64
	cause sessionmap.Cause // written before at
}

func newSubject(name string, coarse time.Duration) *subject {
	s := &subject{name: name, coarse: coarse, bus: sessionmap.NewBus[string]()}
	source := sessionmap.SourceFunc[string](func(deleted func(id string, at time.Time)) (func(), error) {
		s.deliver = deleted
		return func() {}, nil
	})
	made := func(own ...sessionmap.Option) *sessions {
		if coarse > 0 {
			own = append(own, sessionmap.WithCoarseClock(coarse))
		}
		return sessionmap.MustNew[string, int](append(own, sessionmap.WithLogger(slog.New(slog.DiscardHandler)))...)
	}
	onRemove := sessionmap.WithOnRemove(func(key string, _ int, cause sessionmap.Cause) {
		if r, ok := s.removals.Load(key); ok {
			r := r.(*removal)
			r.cause = cause
			r.at.Store(int64(mono()))
		}
	})
	often, rarely := sessionmap.WithSweepInterval(100*time.Millisecond), sessionmap.WithSweepInterval(time.Hour)
	idle := sessionmap.WithTTL(timeout)
	s.looked = made(idle, rarely, sessionmap.WithSessionDeleted(source), sessionmap.WithSessionDeleted(s.bus))
	s.swept = made(idle, often, onRemove)
	s.aged = made(sessionmap.WithTTL(0), sessionmap.WithMaxLifetime(timeout), often, onRemove)
	s.keeps = made(sessionmap.WithTTL(24*time.Hour), rarely, sessionmap.WithTombstones(timeout), sessionmap.WithRenameGrace(timeout),
		sessionmap.WithLoadErrorTTL(timeout), sessionmap.WithRefreshAfter(timeout))
	return s
}

// lag is by how much the clock may lag now behind the true time. Whoever looks sleeps after each look, for longer than a
// coarse clock's step. So its timer, which sets it right, has been due since the third look before; and it is never
// late by more than a few looks and some time besides, even if the machine has stood still or collects garbage.
func (s *subject) lag(before time.Duration) time.Duration {
	if s.coarse == 0 {
		return 0
	}
	return timeout/8 + mono() - before
}

func (s *subject) close() {
	for _, m := range []*sessions{s.looked, s.swept, s.aged, s.keeps} {
		m.Close()
	}
}

// probes starts all, with keys of that scene.
func (s *subject) probes(scene string) []*probe {
	var all []*probe
	start := func(name string, lasts time.Duration, begin func(key string), there func(key string) bool) *probe {
		key := scene + ", " + name
		p := &probe{name: name, lasts: lasts}
		p.there = func() bool { return there(key) }
		p.start = during(func() { begin(key) })
		all = append(all, p)
		return p
	}
	removed := func(m *sessions, name string, want sessionmap.Cause) {
		var r removal
		p := start(name, timeout, func(key string) {
			s.removals.Store(key, &r)
			m.Set(key, 1)
		}, nil)
		p.endedAt, p.late = &r.at, patience
		p.there = func() bool {
			there := r.at.Load() == 0
			if !there && r.cause != want {
				p.end("removed with the cause %v", r.cause)
			}
			return there
		}
	}
	set := func(key string) { s.looked.Set(key, 1) }

	start("an idle session is there for its timeout, by Contains", timeout, set, s.looked.Contains)
	var once *probe // which a Get would renew
	once = start("an idle session is gone after its timeout, by Get", timeout, set, func(key string) bool {
		if mono()-once.start.ended < timeout+s.coarse {
			return true
		}
		time.Sleep(2 * s.coarse) // a coarse clock is right once its timer has run
		_, ok := s.looked.Get(key)
		return ok
	})
	got := start("a Get gives it the whole timeout anew", timeout, set, s.looked.Contains)
	got.renewAt = timeout * 6 / 10
	got.renew = func() bool {
		_, ok := s.looked.Get(scene + ", " + got.name)
		return ok
	}
	start("so it is with a timeout of its own", timeout*3/4, func(key string) { s.looked.SetWithTTL(key, 1, timeout*3/4) }, s.looked.Contains)
	removed(s.swept, "the sweeper removes what is idle", sessionmap.Idle)
	start("a session in use ends with its lifetime, by Get", timeout, func(key string) { s.aged.Set(key, 1) }, func(key string) bool {
		_, ok := s.aged.Get(key)
		return ok
	})
	removed(s.aged, "the sweeper removes what has lived its life", sessionmap.Lifetime)
	start("a deleted session stays deleted for the window", timeout, func(key string) {
		s.keeps.Set(key, 1)
		s.keeps.Delete(key)
	}, func(key string) bool { return !s.keeps.Set(key, 1) })
	start("an old key is good for the grace", timeout, func(key string) {
		s.keeps.Set(key, 1)
		if err := s.keeps.Rename(key, key+", new"); err != nil {
			panic(err)
		}
	}, s.keeps.Contains)
	all = append(all, s.loads(scene)...)
	return all
}

// loads starts those probes that have something loaded.
func (s *subject) loads(scene string) []*probe {
	const remembered, fresh = "an error of a load is remembered for its time", "what was loaded is fresh for its time"
	var loaded atomic.Int64
	get := func(key string, err error) {
		s.keeps.GetOrLoad(context.Background(), key, func(context.Context, string) (int, error) {
			loaded.Store(int64(mono()))
			return 1, err
		})
	}
	failed := &probe{name: remembered, lasts: timeout}
	failed.start = during(func() { get(scene+remembered, errors.New("no")) })
	loaded.Store(0)
	failed.there = func() bool {
		get(scene+remembered, errors.New("no"))
		return loaded.Load() == 0
	}

	var refreshed atomic.Int64
	old := &probe{name: fresh, lasts: timeout, endedAt: &refreshed, late: patience}
	refresh := func(context.Context, string) (int, error) {
		refreshed.Store(int64(mono()))
		return 1, nil
	}
	old.start = during(func() { s.keeps.GetOrLoad(context.Background(), scene+fresh, refresh) })
	refreshed.Store(0)
	old.there = func() bool {
		s.keeps.GetOrLoad(context.Background(), scene+fresh, refresh)
		return refreshed.Load() == 0
	}
	return []*probe{failed, old}
}
