//go:build linux

package main

import (
	"fmt"
	"time"
)

// A letter is an event whose moment is taken before the clock is stepped, and which arrives after that.
type letter struct {
	name    string
	younger bool             // than the session that it means
	moment  func() time.Time // when it is written
}

var letters = []letter{
	{"an event of this process, older than the session, is ignored", false, time.Now},
	{"an event of this process, younger than the session, ends it", true, time.Now},
	{"an event of another process, older than the session, is ignored", false, wall},
	{"an event of another process, younger than the session, ends it", true, wall},
	{"an event without a moment ends the session", true, func() time.Time { return time.Time{} }},
}

// judge tells whether an event of that moment has to end the session, once the wall clock has jumped. Where it had to
// be known by how much, it is left open.
func (l letter) judge(moment time.Time, jump time.Duration) (ends bool, open string) {
	switch {
	case moment.IsZero() || moment != moment.Round(0): // with a monotonic reading, as Round shows
	case l.younger && jump > apart/2:
		return false, "may seem to be older than it is"
	case !l.younger && jump < -apart/2:
		return false, "may seem to be from now"
	}
	return l.younger, ""
}

// events are those of one subject on their way.
type events struct {
	s       *subject
	scene   string
	moments []time.Time
	from    instant
}

// send makes the sessions and takes the moments.
func send(s *subject, scene string) *events {
	e := &events{s: s, scene: scene, moments: make([]time.Time, len(letters)), from: clocks()}
	write := func(younger bool) {
		for i, l := range letters {
			if l.younger == younger {
				e.moments[i] = l.moment()
			}
		}
	}
	write(false)
	time.Sleep(apart)
	for _, l := range letters {
		s.looked.SetWithTTL(e.key(l.name), 1, time.Hour) // on no machine will it idle out
	}
	time.Sleep(apart)
	write(true)
	return e
}

// apart is less than half the shortest step, and far more than a clock is off that has been set and set back.
const apart = 50 * time.Millisecond

func (e *events) key(name string) string { return e.scene + ", " + name }

// arrive delivers the letters, and some events more that are made now, and tells the report of each.
func (e *events) arrive(r *report) {
	jump := e.from.jump()
	for i, l := range letters {
		key, moment := e.key(l.name), e.moments[i]
		e.s.deliver(key, moment)
		ended := !e.s.looked.Contains(key)
		if want, open := l.judge(moment, jump); open != "" {
			r.leftOpen(fmt.Sprintf("%s, but %s; here it ended: %v", l.name, open, ended))
		} else {
			r.tell(e.s, l.name, faultIf(ended != want, "ended: %v", ended))
		}
	}
	now := func(name string, ends bool, publish func(key string)) {
		key := e.key(name)
		e.s.looked.SetWithTTL(key, 1, time.Hour)
		publish(key)
		ended := !e.s.looked.Contains(key)
		r.tell(e.s, name, faultIf(ended != ends, "ended: %v", ended))
	}
	now("an event on the bus after the step ends a session", true, e.s.bus.Publish)
	now("an event of another process after the step ends a session", true, func(key string) { e.s.deliver(key, wall()) })
	now("an event of another process an hour before, by the clock as it is now, is ignored", false, func(key string) { e.s.deliver(key, wall().Add(-time.Hour)) })
}
