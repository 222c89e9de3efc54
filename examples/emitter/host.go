package main

import (
	"maps"
	"slices"
	"sync"
)

// A Host stands for the program that loads a plugin, with the emitter such programs have: events by name,
// arguments of any kind, and no word on whether, when or how often a handler is called.
type Host struct {
	mu       sync.Mutex
	last     int
	handlers map[string]map[int]func(args ...any)
}

// On calls handler for each event of that name until off is called.
func (h *Host) On(event string, handler func(args ...any)) (off func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.handlers == nil {
		h.handlers = make(map[string]map[int]func(args ...any))
	}
	if h.handlers[event] == nil {
		h.handlers[event] = make(map[int]func(args ...any))
	}
	h.last++
	number := h.last
	h.handlers[event][number] = handler
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.handlers[event], number)
	}
}

// Emit calls the handlers of event.
func (h *Host) Emit(event string, args ...any) {
	h.mu.Lock()
	handlers := slices.Collect(maps.Values(h.handlers[event]))
	h.mu.Unlock()
	for _, handler := range handlers {
		handler(args...)
	}
}

// Listeners returns how many handlers there are for event.
func (h *Host) Listeners(event string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.handlers[event])
}
