//go:build linux

package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/sessionmap/sessionmap"
)

// A user is somebody who uses one session all the time, and has another one leased.
type user struct {
	s      *subject
	key    string
	made   bracket // from then on it has been in use without a break
	last   bracket // the last access
	lease  *sessionmap.Lease[string, int]
	leased time.Duration

	gone, untrue string // the first faults
}

func (s *subject) user(scene string) *user {
	u := &user{s: s, key: scene + ", in use"}
	u.begin()
	s.looked.Set(u.key+" and leased", 1)
	u.lease, _ = s.looked.Acquire(u.key + " and leased")
	u.leased = mono()
	return u
}

func (u *user) begin() {
	u.made = during(func() { u.s.looked.Set(u.key, 1) })
	u.last = u.made
}

// over reports whether the session has been in use for long enough.
func (u *user) over() bool { return mono()-u.made.began >= timeout*3/2 }

func (u *user) look(before time.Duration) {
	u.gone = cmp.Or(u.gone, u.use(before))
	u.untrue = cmp.Or(u.untrue, u.entryFault())
}

// use accesses the session. It starts over where the machine stood still for the timeout.
func (u *user) use(before time.Duration) (fault string) {
	var ok bool
	b := during(func() { _, ok = u.s.looked.Get(u.key) })
	if ok {
		u.last = b.since(u.s.lag(before))
		return ""
	}
	if most := b.ended - u.last.began; most < timeout {
		fault = fmt.Sprintf("in use, and gone %v after the last Get", most)
	}
	u.begin()
	return fault
}

func (u *user) leaseFault() string {
	switch age := mono() - u.leased; {
	case u.lease == nil:
		return "there is no lease"
	case age < timeout:
		return fmt.Sprintf("looked after only %v", age)
	case !u.s.looked.Contains(u.lease.Key()):
		return fmt.Sprintf("leased, and gone within %v", age)
	}
	u.lease.Release()
	return ""
}

// offTheWall reports whether Entry's times are by another wall clock than the present one. It looks twice: a step between
// two looks at the clock is no fault.
func (u *user) offTheWall() bool {
	for range 2 {
		e, ok := u.s.looked.Entry(u.key)
		now := time.Now()
		monotonic := now != now.Round(0) // not from the year 2157 on
		if !ok || !monotonic || (now.Round(0).Sub(e.LastAccess.Round(0))-now.Sub(e.LastAccess)).Abs() <= time.Second {
			return false
		}
	}
	return true
}

// entryFault looks at what Entry says of the session in use, right after an access.
func (u *user) entryFault() string {
	var e sessionmap.Entry
	var ok bool
	var sinceCreated, sinceAccess, left time.Duration
	looked := during(func() {
		e, ok = u.s.looked.Entry(u.key)
		sinceCreated, sinceAccess, left = time.Since(e.Created), time.Since(e.LastAccess), time.Until(e.Deadline)
	})
	within := func(d time.Duration, since bracket) bool {
		return d >= looked.began-since.ended && d <= looked.ended-since.began
	}
	switch {
	case !ok && looked.ended-u.last.began < timeout:
		return "no entry"
	case !ok:
		return ""
	case e.IdleTimeout != timeout || e.Deadline.Sub(e.LastAccess) != timeout:
		return fmt.Sprintf("the deadline is %v after the last access", e.Deadline.Sub(e.LastAccess))
	case !within(sinceCreated, u.made):
		return fmt.Sprintf("created %v ago, by Entry", sinceCreated)
	case !within(sinceAccess, u.last):
		return fmt.Sprintf("last accessed %v ago, by Entry", sinceAccess)
	case u.offTheWall():
		return "Entry's times are not by the wall clock"
	case !within(timeout-left, u.last):
		return fmt.Sprintf("%v left, by Entry", left)
	}
	return ""
}
