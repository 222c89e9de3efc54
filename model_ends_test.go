package sessionmap_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// The steps of a program on a map that are about the end of many: by Clear and Close, sweeps, pressure, and time.

// endAll clears the map, or closes it.
func (p *program[V]) endAll(key, x, y int) string {
	if x%16 == 0 {
		return p.close(key, x/16, y)
	}
	p.vetoAll()
	forgetAll(p.leases)
	n := p.m.Clear()
	require.Equal(p.t, p.removeAll(p.alive, sessionmap.Cleared), n)
	return "Clear"
}

// close closes the map, also by its context, while loads are under way.
func (p *program[V]) close(_, x, _ int) string {
	if x%2 == 1 {
		p.end()
	}
	closed := make(chan error, 1)
	go func() { closed <- p.m.Close() }()
	wait()
	if !p.closed {
		p.closed, p.closedAt = true, len(p.log)
	}
	clear(p.buried)
	clear(p.renamed)
	clear(p.failed)
	p.vetoAll()
	forgetAll(p.leases)
	p.removeAll(p.alive, sessionmap.Closed)
	p.checkLoads()
	for len(p.loads) > 0 {
		require.Empty(p.t, closed, "a load is under way")
		p.finishLoad(p.loads[0])
	}
	for len(p.refreshes) > 0 {
		require.Empty(p.t, closed, "a refresh is under way")
		p.finishRefresh(p.refreshes[0])
	}
	require.NoError(p.t, <-closed)
	return "Close"
}

func (p *program[V]) sweep(int, int, int) string {
	expired := p.expiredAmong(p.alive)
	require.Equal(p.t, len(expired), p.m.Sweep())
	p.removeAll(expired, 0)
	_, overdue := count(p.leases)
	require.Equal(p.t, overdue, p.m.Stats().OverdueLeases)
	return "Sweep"
}

// What the heap is for a map that looks at it: near high at all times, so that it looks every tenth of a second.
const (
	heapHigh = 1000
	heapLow  = 600
	heapNear = 550
	heapKeep = 2
)

// press has the heap grow until a map that looks at it has done so.
func (p *program[V]) press(_, x, _ int) string {
	if !p.pressed {
		return "nobody looks at the heap"
	}
	live := uint64(heapHigh + 1 + 8*x)
	p.heap.Cycles.Add(2)
	p.heap.Live.Store(live)
	pass(150 * time.Millisecond)
	wait()
	p.heap.Live.Store(heapNear)
	share := float64(live-heapLow) / float64(live)
	n := 0
	for n < len(p.alive) && float64(n) < share*float64(len(p.alive)) {
		n++
	}
	n = min(n, len(p.alive)-heapKeep)
	for range n {
		if !slices.ContainsFunc(p.alive, func(e *modelEntry) bool { return !p.leased(e) }) {
			break
		}
		p.giveWay(sessionmap.Pressure, p.first(p.alive, p.leased))
	}
	pass(850 * time.Millisecond)
	p.slept()
	return fmt.Sprintf("heap of %d", live)
}

// slept is what comes after a time in which timers fired that were due.
func (p *program[V]) slept() {
	wait()
	if p.coarse {
		p.m.Acquire(-1) // which sets the clock right
	}
	if p.eager {
		p.removeAll(p.expiredAmong(p.alive), 0)
	}
}

func (p *program[V]) sleep(_, x, _ int) string {
	pause := []time.Duration{1, 1, 1, 2, 3, 5, 8, 13}[x%8] * time.Second
	if p.coarse {
		pause += 10 * time.Millisecond // so that no deadline is at the very moment of a step
	}
	pass(pause)
	p.slept()
	return fmt.Sprintf("Sleep %v", pause)
}
