package debugpage

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strconv"
	"time"

	"github.com/sessionmap/sessionmap"
)

// maxMaps is how many maps and groups the page shows.
const maxMaps = 200

// What data.json says. Figures have the names of [sessionmap.Stats] and [sessionmap.Instance], durations are
// nanoseconds. It is made for this page and changes with it.
type snapshot struct {
	Process process
	Causes  []cause
	Maps    []mapFigures
	More    int `json:",omitempty"` // maps that are not shown
	Keys    bool
	Actions bool
	Top     *topSessions `json:",omitempty"` // of the map that was asked for
}

type process struct {
	Run      string // differs from process to process
	Name     string
	PID      int
	LiveHeap uint64 // bytes that the last garbage collection found in use
	MemLimit int64  `json:",omitempty"` // GOMEMLIMIT; 0 is none
}

type cause struct {
	Name     string // for machines
	Words    string
	Backstop bool
	Ends     bool // the session; Replaced and Rejected do not
}

type mapFigures struct {
	ID          uint64
	Label       string
	Group       bool
	KeyType     string
	ValueType   string `json:",omitempty"`
	IdleTimeout time.Duration
	Lifetime    time.Duration
	sessionmap.Stats
	Ended         uint64
	BackstopShare float64
	Attributes    []sessionmap.Stats `json:",omitempty"`
}

// Problems counts what a healthy program has none of.
func (f mapFigures) Problems() (n uint64) {
	return uint64(f.OverdueLeases) + f.LostLeases + f.CallbackPanics + f.CloseErrors
}

// Live and Problems are those of all maps.
func (s snapshot) Live() (n int) {
	for _, m := range s.Maps {
		n += m.Live
	}
	return n
}

func (s snapshot) Problems() (n uint64) {
	for _, m := range s.Maps {
		n += m.Problems()
	}
	return n
}

// serveData answers with the figures of all maps and, where the query names one, its first sessions:
// data.json?map=3&by=idle&n=20.
func (h *handler) serveData(w http.ResponseWriter, r *http.Request) {
	s := h.snapshot()
	if query := r.URL.Query(); query.Has("map") {
		id, err := strconv.ParseUint(query.Get("map"), 10, 64)
		by, ok := measures[query.Get("by")]
		n, errN := strconv.Atoi(query.Get("n"))
		if err != nil || errN != nil || n < 1 || !ok {
			http.Error(w, "want map, the ID of one; by, one of age, idle, cost and leases; n, from 1 to 100", http.StatusBadRequest)
			return
		}
		s.Top = h.topSessions(r.Context(), id, query.Get("by"), by, min(n, maxTop))
	}
	writeJSON(w, s)
}

func writeJSON(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "debugpage: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b)
}

func (h *handler) snapshot() snapshot {
	s := snapshot{Process: processNow(), Causes: causes, Maps: []mapFigures{}, Keys: h.keys, Actions: h.actions}
	for in := range sessionmap.Instances() {
		if len(s.Maps) == maxMaps {
			s.More++
			continue
		}
		stats := in.Stats()
		s.Maps = append(s.Maps, mapFigures{
			ID: in.ID, Label: in.Label, Group: in.Group, KeyType: in.KeyType, ValueType: in.ValueType,
			IdleTimeout: in.IdleTimeout, Lifetime: in.Lifetime,
			Stats: stats, Ended: stats.Ended(), BackstopShare: stats.BackstopShare(), Attributes: in.Attributes(),
		})
	}
	return s
}

var run = rand.Text()

func processNow() process {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/gomemlimit:bytes"}}
	metrics.Read(samples)
	p := process{Run: run, Name: filepath.Base(os.Args[0]), PID: os.Getpid()}
	if v := samples[0].Value; v.Kind() == metrics.KindUint64 {
		p.LiveHeap = v.Uint64()
	}
	if v := samples[1].Value; v.Kind() == metrics.KindUint64 && v.Uint64() < math.MaxInt64 {
		p.MemLimit = int64(v.Uint64())
	}
	return p
}

var causes = func() (all []cause) {
	for c := range sessionmap.Causes() {
		name, _ := c.MarshalText() // as in Removals
		ends := c != sessionmap.Replaced && c != sessionmap.Rejected
		all = append(all, cause{string(name), c.String(), c.Backstop(), ends})
	}
	return all
}()

// How the table says its figures where there is no script to do it.

// grouped writes a whole number with a comma between groups of three digits.
func grouped(n any) string {
	s := fmt.Sprint(n)
	first := 0
	if s[0] == '-' {
		first = 1
	}
	for i := len(s) - 3; i > first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) + " %" }

func mebibytes(n any) string {
	f, _ := strconv.ParseFloat(fmt.Sprint(n), 64)
	return strconv.FormatFloat(f/(1<<20), 'f', 1, 64) + " MiB"
}
