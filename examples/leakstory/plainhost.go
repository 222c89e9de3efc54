package main

import (
	"time"

	"github.com/sessionmap/sessionmap"
)

// A plainStore is a map. It needs no lock here: the host takes one turn after the other, and publishes the
// events in between.
type plainStore[V any] map[string]V

func (s plainStore[V]) Get(id string) (V, bool) {
	value, ok := s[id]
	return value, ok
}

func (s plainStore[V]) Set(id string, value V) (stored bool) {
	s[id] = value
	return true
}

func (s plainStore[V]) Len() int { return len(s) }

// newPlainHost makes the host that the report found: all cleanup hangs on one event. Where the event comes,
// nothing is wrong with it.
func newPlainHost(plan) (*host, error) {
	contexts := plainStore[*contextCache]{}
	histories := plainStore[*history]{}
	tools := plainStore[*toolResults]{}
	agents := plainStore[*agent]{}
	deleted := sessionmap.NewBus[string]()
	if _, err := deleted.Subscribe(func(id string, _ time.Time) {
		delete(contexts, id)
		delete(histories, id)
		delete(tools, id)
		if a, ok := agents[id]; ok {
			a.stop()
			delete(agents, id)
		}
	}); err != nil {
		return nil, err
	}
	return &host{contexts, histories, tools, agents, deleted, func() error { return nil }}, nil
}
