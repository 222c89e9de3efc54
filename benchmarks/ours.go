package main

import "github.com/sessionmap/sessionmap"

type ourStore struct {
	m *sessionmap.RobustSessionMap[string, *session]
}

func newOurs(c config) store { return makeOurs(c) }

func newOursCoarse(c config) store { return makeOurs(c, sessionmap.WithCoarseClock(coarseStep)) }

func makeOurs(c config, more ...sessionmap.Option) store {
	options := []sessionmap.Option{
		sessionmap.WithMaxSize(c.maxSize),
		sessionmap.WithTTL(c.idle),
		sessionmap.WithSweepInterval(c.sweep),
	}
	if c.onRemove != nil {
		options = append(options, sessionmap.WithOnRemove(func(_ string, s *session, _ sessionmap.Cause) { c.onRemove(s) }))
	}
	return &ourStore{sessionmap.MustNew[string, *session](append(options, more...)...)}
}

func (o *ourStore) Get(id string) *session {
	s, _ := o.m.Get(id)
	return s
}
func (o *ourStore) Set(id string, s *session) { o.m.Set(id, s) }
func (o *ourStore) Delete(id string)          { o.m.Delete(id) }
func (o *ourStore) Len() int                  { return o.m.Len() }
func (o *ourStore) Close()                    { o.m.Close() }
