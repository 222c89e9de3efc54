package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sessionmap/sessionmap"
)

// A beforeHost keeps its sessions in maps, each of which somebody once added. What ends a session is cleanup,
// and what calls cleanup is the event.
type beforeHost struct {
	machine    *machine
	mu         sync.Mutex // guards the maps
	agents     map[string]string
	models     map[string]string
	histories  map[string]*list
	results    map[string]*list
	injected   map[string]*set
	inFlight   map[string]*set
	seen       map[string]*set
	usage      map[string]int
	heartbeats map[string]*heartbeat
	processes  map[string]*process
	tokens     sync.Map // session id to how many tokens its history has
}

func newBeforeHost(m *machine, events *sessionmap.Bus[string]) host {
	h := &beforeHost{
		machine:    m,
		agents:     make(map[string]string),
		models:     make(map[string]string),
		histories:  make(map[string]*list),
		results:    make(map[string]*list),
		injected:   make(map[string]*set),
		inFlight:   make(map[string]*set),
		seen:       make(map[string]*set),
		usage:      make(map[string]int),
		heartbeats: make(map[string]*heartbeat),
		processes:  make(map[string]*process),
	}
	_, _ = events.Subscribe(func(id string, _ time.Time) { h.cleanup(id) })
	return h
}

func (h *beforeHost) begin(id, agent, model string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.agents[id] = agent
	h.models[id] = model
	h.heartbeats[id] = h.machine.startHeartbeat()
}

func (h *beforeHost) spawn(id string) error {
	p, err := h.machine.startProcess()
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.processes[id] = p
	return nil
}

func (h *beforeHost) round(ctx context.Context, id, message string, ask ask) error {
	h.mu.Lock()
	agent, ok := h.agents[id]
	model := h.models[id]
	h.mu.Unlock()
	if !ok {
		return errNoSession
	}
	if !inMap(&h.mu, h.seen, id).add(message) {
		return nil
	}
	inMap(&h.mu, h.injected, id).add(instructions)
	history := inMap(&h.mu, h.histories, id)
	calls := inMap(&h.mu, h.inFlight, id)
	calls.add(message)
	defer calls.remove(message)
	answer, err := ask(ctx, agent, model, message)
	if err != nil {
		return err
	}
	h.tokens.Store(id, history.add(message, answer))
	inMap(&h.mu, h.results, id).add(answer)
	h.mu.Lock()
	h.usage[id]++
	h.mu.Unlock()
	return nil
}

// cleanup deletes from every map that somebody thought of: seen and heartbeats came later.
func (h *beforeHost) cleanup(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.agents, id)
	delete(h.models, id)
	delete(h.histories, id)
	delete(h.results, id)
	delete(h.injected, id)
	delete(h.inFlight, id)
	delete(h.usage, id)
	if p := h.processes[id]; p != nil {
		_ = p.Close()
		delete(h.processes, id)
	}
	h.tokens.Delete(id)
}

func (h *beforeHost) held() []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return []int{len(h.agents), len(h.models), len(h.histories), len(h.results), len(h.injected),
		len(h.inFlight), len(h.seen), len(h.usage), size(&h.tokens)}
}

func (h *beforeHost) close() (err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.processes {
		err = errors.Join(err, p.Close())
	}
	for _, b := range h.heartbeats {
		b.Close()
	}
	return err
}
