package main

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// A session is what the server keeps for one login. It owns a file, the journal of its visits.
type session struct {
	user    string
	visits  atomic.Int64
	journal *os.File
}

func newSession(user, dir string) (*session, error) {
	journal, err := os.CreateTemp(dir, "session-*.journal")
	if err != nil {
		return nil, err
	}
	return &session{user: user, journal: journal}, nil
}

// visit counts a visit. It fails with os.ErrClosed once the session is released, which can happen between
// finding it and this call: an os.File takes that well, and what a session owns should.
func (s *session) visit() (int64, error) {
	n := s.visits.Add(1)
	_, err := fmt.Fprintf(s.journal, "visit %d\n", n)
	return n, err
}

// release closes and removes the journal.
func (s *session) release() error {
	return errors.Join(s.journal.Close(), os.Remove(s.journal.Name()))
}
