//go:build explore

package main_test

import (
	"fmt"

	"github.com/anishathalye/porcupine"

	"github.com/sessionmap/sessionmap"
)

type callKind string

const (
	get        callKind = "get"
	peek       callKind = "peek"
	touch      callKind = "touch"
	set        callKind = "set"
	take       callKind = "take"
	getOrSet   callKind = "get or set"
	update     callKind = "update"
	updateAway callKind = "update away"
	move       callKind = "rename in a group"
	end        callKind = "delete in a group"
	rename     callKind = "rename"
	load       callKind = "load"
	acquire    callKind = "acquire"
	clear      callKind = "clear"
	shut       callKind = "close"
	refresh    callKind = "refresh"
	leave      callKind = "leave" // a value leaves that no call took: some time between its being put in and the report
)

type call struct {
	kind  callKind
	key   int
	to    int // of a rename
	value int // that is put in, or that leaves
	cause sessionmap.Cause
}

type outcome struct {
	value           int  // that was there
	ok              bool // something was there, or was done
	stored          bool // the value of the call was put in
	exists, refused bool // why a rename did not succeed
	late            bool // by the end of the call some session can have been expired
}

const keys = 10

// A mapState is a map as its specification has it: values by key, 0 for none.
type mapState struct {
	values [keys]int
	n      int
	closed bool
}

func (s mapState) with(key, value int) mapState {
	s = s.without(key)
	if value != 0 {
		s.n++
	}
	s.values[key] = value
	return s
}

func (s mapState) without(key int) mapState {
	if s.values[key] != 0 {
		s.n--
	}
	s.values[key] = 0
	return s
}

// wholeMap is what a map is to do, if each call took effect at one moment. Where sessions expire, one that reads, or takes
// an attribute, may miss what another access, begun before the deadline, goes on to keep.
func wholeMap(sc scenario) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return mapState{} },
		Step: func(state, input, output any) (bool, any) {
			out, _ := output.(outcome)
			return sc.step(state.(mapState), input.(call), out)
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprint(input, " ", output) },
	}
}

func (sc scenario) step(s mapState, c call, out outcome) (bool, mapState) {
	there := s.values[c.key]
	found := out.ok == (there != 0) && (!out.ok || out.value == there)
	room := there != 0 || sc.size == 0 || sc.group || s.n < sc.size // a group's size is of sessions
	missed := out.late && !out.ok
	switch c.kind {
	case get, peek, acquire:
		return found || missed, s
	case touch:
		return out.ok == (there != 0) || missed, s
	case take, updateAway:
		if sc.group && missed {
			return true, s
		}
		return found, s.without(c.key)
	case set:
		if !out.stored {
			return s.closed || sc.refuses, s
		}
		return !s.closed && room, s.with(c.key, c.value)
	case getOrSet:
		switch {
		case out.ok:
			return found, s
		case !out.stored:
			return s.closed || sc.refuses, s
		}
		return !s.closed && there == 0 && room, s.with(c.key, c.value)
	case update:
		if !out.stored {
			return s.closed || sc.refuses, s
		}
		return !s.closed && found && room, s.with(c.key, c.value)
	case load:
		switch {
		case out.ok:
			return found, s
		case !out.stored:
			return true, s
		}
		return !s.closed && there == 0 && room, s.with(c.key, c.value)
	case refresh:
		return there != 0, s.with(c.key, c.value)
	case rename:
		switch {
		case out.exists:
			return there != 0 && s.values[c.to] != 0, s
		case out.refused:
			return s.closed || sc.refuses, s
		case !out.ok:
			return there == 0 || out.late, s
		}
		return there != 0 && (s.values[c.to] == 0 || c.to == c.key), s.without(c.key).with(c.to, there)
	case end:
		return true, s.without(1).without(2)
	case move:
		if !out.ok { // there may be a session without attributes, or none
			return true, s
		}
		taken := s.values[3]+s.values[4] != 0
		return !taken, s.without(1).without(2).with(3, s.values[1]).with(4, s.values[2])
	case clear:
		return true, mapState{closed: s.closed}
	case shut:
		return true, mapState{closed: true}
	case leave:
		return there == c.value && (c.cause != sessionmap.Evicted || sc.group || s.n == sc.size), s.without(c.key)
	}
	panic(c.kind)
}
