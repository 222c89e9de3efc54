package main

import (
	"context"
	"sync"

	"github.com/sessionmap/sessionmap"
)

// An afterHost is the beforeHost with attributes of a group for its maps. Its sessions end by the event or, where
// that is lost, by the idle timeout, and all that belongs to one ends with it: there is no cleanup to forget it.
type afterHost struct {
	machine    *machine
	sessions   *sessionmap.Group[string]
	agents     *sessionmap.Attribute[string, string]
	models     *sessionmap.Attribute[string, string]
	histories  *sessionmap.Attribute[string, *list]
	results    *sessionmap.Attribute[string, *list]
	injected   *sessionmap.Attribute[string, *set]
	inFlight   *sessionmap.Attribute[string, *set]
	seen       *sessionmap.Attribute[string, *set]
	usage      *sessionmap.Attribute[string, int]
	heartbeats *sessionmap.Attribute[string, *heartbeat]
	processes  *sessionmap.Attribute[string, *process]
	tokens     sync.Map // as before; the guard empties it
}

func newAfterHost(m *machine, events *sessionmap.Bus[string]) host {
	g := sessionmap.MustNewGroup[string](
		sessionmap.WithSessionDeleted(events),
		sessionmap.WithTTL(idle),
		sessionmap.WithSweepInterval(idle/4),
	)
	h := &afterHost{
		machine:    m,
		sessions:   g,
		agents:     sessionmap.NewAttribute[string](g, "agents"),
		models:     sessionmap.NewAttribute[string](g, "models"),
		histories:  sessionmap.NewAttribute[*list](g, "histories"),
		results:    sessionmap.NewAttribute[*list](g, "results"),
		injected:   sessionmap.NewAttribute[*set](g, "injected"),
		inFlight:   sessionmap.NewAttribute[*set](g, "in flight"),
		seen:       sessionmap.NewAttribute[*set](g, "seen"),
		usage:      sessionmap.NewAttribute[int](g, "usage"),
		heartbeats: sessionmap.NewAttribute[*heartbeat](g, "heartbeats", sessionmap.WithCloser()),
		processes:  sessionmap.NewAttribute[*process](g, "processes", sessionmap.WithCloser()),
	}
	sessionmap.NewSyncGuard(g, &h.tokens)
	return h
}

func (h *afterHost) begin(id, agent, model string) {
	h.agents.Set(id, agent)
	h.models.Set(id, model)
	h.heartbeats.Set(id, h.machine.startHeartbeat())
}

func (h *afterHost) spawn(id string) error {
	lease, ok := h.sessions.Acquire(id) // held, no sweep ends the session while the process starts
	if !ok {
		return errNoSession
	}
	defer lease.Release()
	p, err := h.machine.startProcess()
	if err != nil {
		return err
	}
	h.processes.Set(id, p)
	return nil
}

func (h *afterHost) round(ctx context.Context, id, message string, ask ask) error {
	lease, ok := h.sessions.Acquire(id) // a round may outlast the idle timeout
	if !ok {
		return errNoSession
	}
	defer lease.Release()
	ctx, stop := lease.Within(ctx)
	defer stop()
	agent, ok := h.agents.Get(id)
	model, _ := h.models.Get(id)
	if !ok {
		return errNoSession
	}
	if !inSession(h.seen, id).add(message) {
		return nil
	}
	inSession(h.injected, id).add(instructions)
	history := inSession(h.histories, id)
	calls := inSession(h.inFlight, id)
	calls.add(message)
	defer calls.remove(message)
	answer, err := ask(ctx, agent, model, message)
	if err != nil {
		return err
	}
	// The tokens come first: should the session have been deleted meanwhile, the attributes begin another, for
	// the idle timeout to end.
	h.tokens.Store(id, history.add(message, answer))
	inSession(h.results, id).add(answer)
	h.usage.Update(id, func(rounds int, _ bool) (int, bool) { return rounds + 1, true })
	return nil
}

func (h *afterHost) held() []int {
	return []int{h.agents.Len(), h.models.Len(), h.histories.Len(), h.results.Len(), h.injected.Len(),
		h.inFlight.Len(), h.seen.Len(), h.usage.Len(), size(&h.tokens)}
}

func (h *afterHost) close() error { return h.sessions.Close() }
