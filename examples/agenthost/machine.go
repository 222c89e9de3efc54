package main

import (
	"io"
	"sync/atomic"
	"time"
)

const beat = idle / 3

// A machine is where the timers and processes of a host run. It counts those that do, whatever the host believes.
type machine struct {
	launch     func() (io.Closer, error) // a process; Close ends it and returns when it has ended
	heartbeats atomic.Int64
	processes  atomic.Int64
	beats      atomic.Int64
}

// A heartbeat keeps a session's connection to its model warm. It is no access to the session: with one that is,
// no session would ever be idle.
type heartbeat struct {
	machine *machine
	ticker  *time.Ticker
	closed  chan struct{}
}

func (m *machine) startHeartbeat() *heartbeat {
	m.heartbeats.Add(1)
	b := &heartbeat{m, time.NewTicker(beat), make(chan struct{})}
	go b.run()
	return b
}

func (b *heartbeat) run() {
	for {
		select {
		case <-b.ticker.C:
			b.machine.beats.Add(1)
		case <-b.closed:
			return
		}
	}
}

// Close ends the heartbeat. It is called once.
func (b *heartbeat) Close() {
	b.machine.heartbeats.Add(-1)
	b.ticker.Stop()
	close(b.closed)
}

// A process is one that the machine has launched for a session.
type process struct {
	machine *machine
	running io.Closer
}

func (m *machine) startProcess() (*process, error) {
	running, err := m.launch()
	if err != nil {
		return nil, err
	}
	m.processes.Add(1)
	return &process{m, running}, nil
}

// Close ends the process. It is called once.
func (p *process) Close() error {
	defer p.machine.processes.Add(-1)
	return p.running.Close()
}
