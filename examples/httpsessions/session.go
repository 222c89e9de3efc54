package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/sessionmap/sessionmap"
)

// sessions are those of all who are logged in. A session is what its attributes are, and owns a file:
//
//	visits    how many there were
//	journals  a line for each; closed and removed with the session
//	users     whose it is; set last, for it is what makes somebody logged in
//
// The ids are secrets: nothing logs them.
type sessions struct {
	*sessionmap.Group[string]
	visits   *sessionmap.Attribute[string, int]
	journals *sessionmap.Attribute[string, *os.File]
	users    *sessionmap.Attribute[string, string]
	byUser   *sessionmap.Index[string, string]
	dir      string // of the journals
}

type lease = sessionmap.Lease[string, *sessionmap.Session[string]]

// tombstones is longer than any request takes.
const tombstones = time.Hour

func newSessions(c config, dir string) (*sessions, error) {
	if c.PerUser < 1 {
		return nil, fmt.Errorf("%d sessions for each user: there must be at least 1", c.PerUser)
	}
	group, err := sessionmap.NewGroup[string](
		sessionmap.WithName("http"),
		sessionmap.WithTTL(c.Idle),
		sessionmap.WithMaxLifetime(c.Lifetime),
		sessionmap.WithMaxSize(c.MaxSessions),
		sessionmap.WithRenameGrace(c.RenewGrace),
		// To set an attribute of a session that has ended is to begin another of its id. No handler here does
		// so, and a handler yet to be written cannot undo a logout.
		sessionmap.WithTombstones(tombstones),
	)
	if err != nil {
		return nil, err
	}
	s := &sessions{Group: group, dir: dir}
	s.visits = sessionmap.NewAttribute[int](group, "visits")
	s.journals = sessionmap.NewAttribute[*os.File](group, "journal",
		sessionmap.WithOnRemove(func(_ string, journal *os.File, cause sessionmap.Cause) {
			if err := release(journal); err != nil {
				log.Printf("after the end of a session (%v): %v", cause, err)
			}
		}))
	s.users = sessionmap.NewAttribute[string](group, "user")
	s.byUser = sessionmap.NewIndex(s.users, func(_, user string) string { return user },
		sessionmap.WithOwnerLimit(c.PerUser, sessionmap.EndOldest))
	return s, nil
}

// begin makes a session of a fresh id, and leaves nothing where it cannot. The lease is for the time in which
// the session has yet to get all that belongs to it: ended in between, to make room for another, it would begin
// again without the rest.
func (s *sessions) begin(user string) (id string, err error) {
	journal, err := os.CreateTemp(s.dir, "session-*.journal")
	if err != nil {
		return "", err
	}
	id = rand.Text()
	in, ok := s.Begin(id)
	if !ok {
		return "", errors.Join(sessionmap.ErrRefused, release(journal))
	}
	defer in.Release()
	// A journal that is refused has been released, one that is set goes with the session.
	if !s.journals.Set(id, journal) || !s.visits.Set(id, 0) || !s.users.Set(id, user) {
		s.Delete(id)
		return "", sessionmap.ErrRefused
	}
	return id, nil
}

// visit counts a visit. It fails with os.ErrClosed once the session has ended, which a logout elsewhere can bring
// about at any moment: an os.File takes that well, and what a session owns should.
func (s *sessions) visit(id string) (n int, err error) {
	n, counted := s.visits.Update(id, func(n int, ok bool) (int, bool) { return n + 1, ok })
	journal, ok := s.journals.Get(id)
	if !counted || !ok {
		return 0, os.ErrClosed
	}
	_, err = fmt.Fprintf(journal, "visit %d\n", n)
	return n, err
}

// end ends the session of id, if there is one. It asks first because a Delete leaves a tombstone in any case, and
// ids that strangers have made up are not worth one.
func (s *sessions) end(id string) {
	if s.Contains(id) {
		s.Delete(id)
	}
}

// release closes and removes a journal.
func release(journal *os.File) error {
	return errors.Join(journal.Close(), os.Remove(journal.Name()))
}
