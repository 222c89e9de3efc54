package main

import (
	"context"

	"github.com/sessionmap/sessionmap"
)

// A host runs conversations and keeps the state of each in four maps. All contestants are this host. They
// differ in what the maps are, and in how an entry leaves them.
type host struct {
	contexts  store[*contextCache]
	histories store[*history]
	tools     store[*toolResults]
	agents    store[*agent]

	// deleted carries the session.deleted events: those that are not lost on the way to it.
	deleted *sessionmap.Bus[string]

	// exit is what the host does when the process ends in good order.
	exit func() error
}

// A store is a map by session id.
type store[V any] interface {
	Get(id string) (V, bool)
	Set(id string, value V) (stored bool)
	Len() int
}

// turn takes one turn of a conversation. State that is not there, because the session is new or has been
// idle for too long, is set up first.
func (h *host) turn(ctx context.Context, id string, p plan) {
	use(h.contexts, id, func() *contextCache {
		return &contextCache{files: [][]byte{payload(p.contextBytes())}}
	})
	use(h.agents, id, func() *agent {
		return startAgent(ctx, payload(p.agentBytes()), p.heartbeat())
	})
	use(h.histories, id, func() *history { return &history{} }).add(payload(p.messageBytes()))
	use(h.tools, id, func() *toolResults {
		return &toolResults{byCall: make(map[string][]byte)}
	}).add(payload(p.toolBytes()))
}

func use[V any](s store[V], id string, create func() V) V {
	if value, ok := s.Get(id); ok {
		return value
	}
	value := create()
	s.Set(id, value)
	return value
}

// sessions is the number of sessions whose history is held.
func (h *host) sessions() int { return h.histories.Len() }

// A contestant is a host on one kind of map.
type contestant struct {
	Key     string // names it to the child process
	Name    string // in charts and tables
	About   string // for the page
	newHost func(plan) (*host, error)
}

// contestants are in the order of the story; ours is the last.
var contestants = []contestant{
	{"plain", "plain maps", "A Go map for each kind of state. The session.deleted event deletes from all four and stops the agent. Nothing else does.", newPlainHost},
	{"report", "report's map", "The RobustSessionMap that the report proposes, as written there: last access times, an idle timeout, a bound on the size, the session.deleted event. It has no way to tell that an entry has left, so nobody stops that entry's agent.", newReportHost},
	{"ours", "sessionmap", "This library, with the same idle timeout and size bound, and a callback that stops the agent of every entry that leaves, whatever the cause.", newOurHost},
}
