package grows

import "sync"

// What is set where the key is known to be there is not the place of growth.
type slots struct {
	mu    sync.Mutex
	used  map[string]int
	left  map[string]int
	ends  map[string]bool
	ships map[string]*int
	moved map[string]int
}

func (s *slots) release(userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used[userID] > 0 {
		s.used[userID]--
	}
}

func (s *slots) acquire(userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[userID]++ // want `grows: slots.used grows with userID and nothing removes from it`
}

// A counter that may be new.
func (s *slots) count(userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moved[userID] < 3 {
		s.moved[userID]++ // want `grows: slots.moved grows with userID`
	}
}

// Another key than the one that was looked up.
func (s *slots) rename(userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.ships[userID]; taken {
		userID += "'"
		s.ships[userID] = nil // want `grows: slots.ships grows with userID`
	}
}

// ---- not reported ----

func (s *slots) leave(userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.left[userID]
	if n == 0 {
		return
	}
	s.left[userID] = n - 1
}

func (s *slots) close(userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.ends[userID]
	if !ok || userID == "" {
		return
	}
	s.ends[userID] = true
}
