// Package stop has timers and goroutines that belong to sessions.
package stop

import (
	"context"
	"sync"
	"time"
)

type sessions struct {
	mu      sync.Mutex
	timers  map[string]*time.Timer
	cancels map[string]context.CancelFunc
	done    map[string]chan struct{}
	values  map[string]*session
}

type session struct {
	idle   *time.Timer
	cancel context.CancelFunc
	stop   context.CancelFunc
}

func (s *sessions) open(ctx context.Context, sessionID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timers[sessionID] = time.AfterFunc(time.Hour, func() { s.end(sessionID) })
	ctx, cancel := context.WithCancel(ctx)
	s.cancels[sessionID] = cancel
	s.done[sessionID] = make(chan struct{})
	v := new(session)
	v.idle = time.AfterFunc(time.Hour, func() {}) // want `stop: session.idle is a timer that nothing has stopped when its session leaves sessions.values`
	_, v.cancel = context.WithCancel(ctx)
	_, stop := context.WithCancel(ctx)
	v.stop = stop
	s.values[sessionID] = v
}

func (s *sessions) end(sessionID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.timers, sessionID)
}

func (s *sessions) Drop(sessionID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cancels, sessionID) // want `stop: sessions.cancels holds a cancel function, which is dropped here without being called`
}

func (s *sessions) Forget(sessionID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.done, sessionID) // want `stop: sessions.done holds a channel, which is dropped here without being closed`
}

func (s *sessions) Close(sessionID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.values[sessionID]; v != nil {
		v.stop()
		v.cancel()
	}
	delete(s.values, sessionID)
}

// ---- not reported ----

type stopped struct {
	mu      sync.Mutex
	timers  map[string]*time.Timer
	cancels map[string]context.CancelFunc
	once    map[string]*time.Timer
}

func (s *stopped) open(ctx context.Context, sessionID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timers[sessionID] = time.AfterFunc(time.Hour, func() {})
	_, cancel := context.WithCancel(ctx)
	s.cancels[sessionID] = cancel
	s.once[sessionID] = time.NewTimer(time.Hour)
}

func (s *stopped) Close(sessionID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.timers[sessionID]; t != nil {
		t.Stop()
	}
	delete(s.timers, sessionID)
	if cancel := s.cancels[sessionID]; cancel != nil {
		cancel()
	}
	delete(s.cancels, sessionID)
	delete(s.once, sessionID)
}
