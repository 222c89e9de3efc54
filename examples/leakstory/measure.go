package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/shirou/gopsutil/v4/process"
)

// A sample is what one round left behind.
type sample struct {
	Round      int
	Sessions   int    // held by the host's maps
	Heap       uint64 // in use after a garbage collection: what is reachable, and nothing else
	RSS        uint64 // the memory that the operating system has given to the process
	Goroutines int
}

// measure takes a sample of this process.
func measure(h *host, round int) (sample, error) {
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	s := sample{Round: round, Sessions: h.sessions(), Heap: mem.HeapInuse, Goroutines: runtime.NumGoroutine()}
	self, err := process.NewProcess(int32(os.Getpid()))
	if err != nil {
		return s, fmt.Errorf("leakstory: measuring the process: %w", err)
	}
	info, err := self.MemoryInfo()
	if err != nil {
		return s, fmt.Errorf("leakstory: measuring the resident memory: %w", err)
	}
	s.RSS = info.RSS
	return s, nil
}
