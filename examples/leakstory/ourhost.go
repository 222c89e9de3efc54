package main

import (
	"errors"

	"github.com/sessionmap/sessionmap"
)

// newOurHost makes the host on sessionmap. The event still does the work where it
// comes; where it does not, the idle timeout does. Either way stopAgent hears of it.
func newOurHost(p plan) (*host, error) {
	deleted := sessionmap.NewBus[string]()
	options := func(more ...sessionmap.Option) []sessionmap.Option {
		return append(more,
			sessionmap.WithSessionDeleted(deleted),
			sessionmap.WithTTL(p.idleTimeout()),
			sessionmap.WithSweepInterval(p.sweepInterval()),
		)
	}
	stopAgent := func(_ string, a *agent, _ sessionmap.Cause) { a.stop() }

	contexts, err1 := sessionmap.New[string, *contextCache](options()...)
	histories, err2 := sessionmap.New[string, *history](options()...)
	tools, err3 := sessionmap.New[string, *toolResults](options()...)
	agents, err4 := sessionmap.New[string, *agent](options(sessionmap.WithOnRemove(stopAgent))...)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	exit := func() error {
		return errors.Join(contexts.Close(), histories.Close(), tools.Close(), agents.Close())
	}
	return &host{contexts, histories, tools, agents, deleted, exit}, nil
}
