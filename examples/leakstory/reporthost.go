package main

import "github.com/sessionmap/sessionmap"

// newReportHost makes the host that follows the report's advice: every map with session state becomes a
// RobustSessionMap.
func newReportHost(p plan) (*host, error) {
	deleted := sessionmap.NewBus[string]()
	contexts := reportStore[*contextCache](p, deleted)
	histories := reportStore[*history](p, deleted)
	tools := reportStore[*toolResults](p, deleted)
	agents := reportStore[*agent](p, deleted)
	exit := func() error {
		contexts.Clear()
		histories.Clear()
		tools.Clear()
		agents.Clear()
		return nil
	}
	return &host{contexts, histories, tools, agents, deleted, exit}, nil
}

func reportStore[V any](p plan, deleted *sessionmap.Bus[string]) *reportMap[string, V] {
	return newReportMap[string, V](reportMaxSize, p.idleTimeout(), p.sweepInterval(), deleted)
}
