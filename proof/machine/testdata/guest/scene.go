//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"
)

const (
	stepAt   = timeout * 3 / 10 // after the start of a scene
	pollTime = 2 * coarseStep
	tooLong  = 2 * patience
)

// A scene has probes, users and events of some subjects live through a disturbance of the clocks.
type scene struct {
	name string
	r    *report
	cast []*role
	from instant

	disturb    func() (more bool, err error) // called again for as long as it says so
	disturbing bool
}

// A role is what one subject does in a scene.
type role struct {
	*subject
	events *events
	user   *user
	probes []*probe
}

// play plays a scene until all probes have ended, and reports. The fresh subjects are not needed any longer then.
func (r *report) play(name string, veterans, fresh []*subject, disturb func() (more bool, err error)) error {
	r.scene = name
	c := &scene{name: name, r: r, disturb: disturb, disturbing: true}
	for _, s := range slices.Concat(veterans, fresh) {
		c.cast = append(c.cast, &role{subject: s, events: send(s, name)})
	}
	c.from = clocks()
	for _, o := range c.cast {
		o.user, o.probes = o.subject.user(name), o.subject.probes(name)
	}
	looks := []time.Duration{mono()}
	for over := false; !over && looks[len(looks)-1]-c.from.mono < tooLong; {
		time.Sleep(pollTime)
		looks = append(looks, mono())
		if err := c.step(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		over = !c.disturbing
		for _, o := range c.cast {
			over = o.look(looks[max(0, len(looks)-4)]) && over
		}
	}
	for _, o := range c.cast {
		o.tell(r)
	}
	for _, s := range fresh {
		s.close()
	}
	r.sum()
	return nil
}

// step disturbs the clocks if it is time for that, and has the events arrive afterwards.
func (c *scene) step() (err error) {
	if !c.disturbing || mono()-c.from.mono < stepAt {
		return nil
	}
	c.disturbing, err = c.disturb()
	if err != nil || c.disturbing {
		return err
	}
	c.r.note("after the step: %v", c.from)
	for _, o := range c.cast {
		o.events.arrive(c.r)
	}
	return nil
}

// look has all of the role look once, and reports whether it has seen the end. The third look before began at that time.
func (o *role) look(before time.Duration) (over bool) {
	o.user.look(before)
	over = o.user.over()
	for _, p := range o.probes {
		p.look(o.subject.lag(before))
		over = over && p.over
	}
	return over
}

func (o *role) tell(r *report) {
	for _, p := range o.probes {
		if !p.over {
			p.end("it has not ended yet")
		}
		r.tell(o.subject, p.name, p.fault)
	}
	r.tell(o.subject, "a session in use does not end", o.user.gone)
	r.tell(o.subject, "Entry tells the true times", o.user.untrue)
	r.tell(o.subject, "a leased session does not end", o.user.leaseFault())
}
