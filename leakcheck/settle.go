package leakcheck

import (
	"runtime"
	"sync/atomic"
	"time"
)

// figures are what is measured after a round, or their growth.
type figures [3]float64

const (
	heapBytes = iota
	objects
	goroutines
)

var figureNames = [3]string{"heap bytes", "objects", "goroutines"}

const (
	// stillCollections is how many collections in a row must bring nothing before the figures stand still: what is in
	// a sync.Pool, or has a finalizer, goes with the second.
	stillCollections = 2
	// maxCollections bounds the wait where another goroutine keeps them moving.
	maxCollections = 40

	yields = 100 // before the first wait: mostly it takes no more
	wait   = time.Millisecond
	waits  = 20
)

// A meter takes the figures of the process.
type meter struct{ stats runtime.MemStats }

func (m *meter) read() figures {
	runtime.ReadMemStats(&m.stats)
	return figures{
		heapBytes:  float64(m.stats.HeapAlloc),
		objects:    float64(m.stats.HeapObjects),
		goroutines: float64(runtime.NumGoroutine()),
	}
}

// settle collects garbage until that brings no figure further down, and returns the lowest there were: what others
// allocate meanwhile only adds. Goroutines above calm get some time to end before.
func (m *meter) settle(calm float64) figures {
	await(func() bool { return float64(runtime.NumGoroutine()) <= calm })
	least := m.read()
	still := 0
	for n := 0; n < maxCollections && still < stillCollections; n++ {
		collect()
		still++
		for i, now := range m.read() {
			if now < least[i] {
				least[i] = now
				still = 0
			}
		}
	}
	return least
}

// collect runs the garbage collector and has finalizers and cleanups run. What an earlier collection queued has been
// taken up when those of two new objects have run.
func collect() {
	type object struct{ _ [4]*int } // too large to share an allocation
	ran := new(atomic.Int32)
	runtime.SetFinalizer(new(object), func(*object) { ran.Add(1) })
	runtime.AddCleanup(new(object), func(ran *atomic.Int32) { ran.Add(1) }, ran)
	runtime.GC()
	await(func() bool { return ran.Load() == 2 })
}

// await lets other goroutines run until done, but not for long: one may be blocked.
func await(done func() bool) {
	for n := 0; n < yields+waits && !done(); n++ {
		if n < yields {
			runtime.Gosched()
		} else {
			time.Sleep(wait)
		}
	}
}
