// Pressure shows what becomes of a program that has less memory than its sessions ask for. Sessions arrive and are
// worked with, none is ever deleted, and their idle timeout is far away. The program runs twice with the same
// GOMEMLIMIT, as two processes: on a map that only has that timeout, and on one that is made WithMemoryPressure.
//
//	go run ./examples/pressure           # about 30 seconds
//	go run ./examples/pressure -quick    # about 10
//
// Each process ends itself when it takes more than a quarter above its limit, as a container's limit would.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/sessionmap/sessionmap"
)

const (
	megabyte    = 1 << 20
	historySize = 32 << 10 // bytes a session
	hardLimit   = 1.25     // of the memory limit
)

// A story is what one process is to live through, and what it has come to.
type story struct {
	Limit    int64 // bytes
	Sessions int   // that arrive
	Relief   bool  // WithMemoryPressure

	Arrived  int
	Live     int     // at the end
	Shed     uint64  // ended for memory pressure
	PeakLive float64 // bytes
	Peak     float64 // bytes that the process has from the system
	GC       float64 // share of the processor time in the last second
	Killed   bool
	Took     time.Duration
}

func main() {
	quick := flag.Bool("quick", false, "with less memory and fewer sessions")
	child := flag.String("story", "", "the `story` of a child process, as JSON")
	flag.Parse()
	if *child != "" {
		var s story
		if err := json.Unmarshal([]byte(*child), &s); err != nil {
			log.Fatal(err)
		}
		s.live()
		if err := json.NewEncoder(os.Stdout).Encode(s); err != nil {
			log.Fatal(err)
		}
		return
	}
	limit, sessions := int64(256*megabyte), 30_000
	if *quick {
		limit, sessions = 128*megabyte, 8_000
	}
	if err := compare(limit, sessions); err != nil {
		log.Fatal(err)
	}
}

// compare runs both processes, one after the other.
func compare(limit int64, sessions int) error {
	fmt.Printf("%d sessions of %d KB arrive, %d MB in all; GOMEMLIMIT is %d MB\n\n",
		sessions, historySize>>10, sessions*historySize/megabyte, limit/megabyte)
	fmt.Println("                   arrived   left   shed   peak of live heap   peak of process   GC at the end   took      outcome")
	for _, relief := range []bool{false, true} {
		s, err := run(story{Limit: limit, Sessions: sessions, Relief: relief})
		if err != nil {
			return err
		}
		name, outcome := "timeout only", "lives on"
		if s.Relief {
			name = "memory pressure"
		}
		if s.Killed {
			outcome = "killed"
		}
		fmt.Printf("%-16s %9d %6d %6d %16.0f MB %14.0f MB %14.0f%% %6.1fs      %s\n", name, s.Arrived, s.Live, s.Shed,
			s.PeakLive/megabyte, s.Peak/megabyte, 100*s.GC, s.Took.Seconds(), outcome)
		if s.Relief && s.Killed {
			return fmt.Errorf("killed in spite of WithMemoryPressure")
		}
	}
	return nil
}

// run has a process of its own live through s.
func run(s story) (story, error) {
	self, err := os.Executable()
	if err != nil {
		return s, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return s, err
	}
	process := exec.Command(self, "-story", string(text))
	process.Stderr = os.Stderr
	out, err := process.Output()
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(out, &s)
}

// live has the sessions arrive, 16 MB of them every quarter of a second, and works with those of late.
func (s *story) live() {
	debug.SetMemoryLimit(s.Limit)
	opts := []sessionmap.Option{sessionmap.WithTTL(time.Hour), sessionmap.WithMaxSize(0)}
	if s.Relief {
		opts = append(opts, sessionmap.WithMemoryPressure(0.7, 0.5, 100))
	}
	histories := sessionmap.MustNew[int, []byte](opts...)
	defer histories.Close()

	began, second := time.Now(), readProcess()
	const atOnce = 8
	pace := time.NewTicker(250 * time.Millisecond * atOnce * historySize / (16 * megabyte))
	defer pace.Stop()
	for ; s.Arrived < s.Sessions && !s.Killed; s.Arrived += atOnce {
		for id := s.Arrived; id < s.Arrived+atOnce; id++ {
			histories.Set(id, make([]byte, historySize))
			histories.Update(id/2+s.Arrived/2, func(old []byte, ok bool) ([]byte, bool) {
				return append(make([]byte, 0, len(old)), old...), ok // a message more, and garbage
			})
		}
		now := readProcess()
		s.PeakLive, s.Peak = max(s.PeakLive, now.live), max(s.Peak, now.total)
		s.Killed = now.total > hardLimit*float64(s.Limit)
		if now.cpu-second.cpu >= 1 || s.Killed {
			s.GC = (now.gc - second.gc) / max(now.cpu-second.cpu, 1e-9)
			second = now
		}
		<-pace.C
	}
	stats := histories.Stats()
	s.Live, s.Shed, s.Took = stats.Live, stats.Removals[sessionmap.Pressure], time.Since(began)
}

// A process is what the runtime says of it.
type process struct{ live, total, gc, cpu float64 }

func readProcess() process {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/user:cpu-seconds"},
	}
	metrics.Read(samples)
	gc := samples[3].Value.Float64()
	return process{
		live:  float64(samples[0].Value.Uint64()),
		total: float64(samples[1].Value.Uint64() - samples[2].Value.Uint64()),
		gc:    gc,
		cpu:   gc + samples[4].Value.Float64(),
	}
}
