package debugpage

import (
	"cmp"
	"container/heap"
	"context"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sessionmap/sessionmap"
)

// maxTop is how many sessions of a map an answer has at the most.
const maxTop = 100

// A measure is by what sessions are ordered, the greatest first.
type measure func(s sessionmap.SessionInfo[any], now time.Time) int64

var measures = map[string]measure{
	"age":    func(s sessionmap.SessionInfo[any], _ time.Time) int64 { return int64(s.Age) },
	"idle":   func(s sessionmap.SessionInfo[any], now time.Time) int64 { return int64(idleFor(s, now)) },
	"cost":   func(s sessionmap.SessionInfo[any], _ time.Time) int64 { return s.Cost },
	"leases": func(s sessionmap.SessionInfo[any], _ time.Time) int64 { return int64(s.Leases) },
}

func idleFor(s sessionmap.SessionInfo[any], now time.Time) time.Duration {
	return max(0, now.Sub(s.LastAccess))
}

type topSessions struct {
	Map      uint64
	By       string
	Walked   int           // sessions
	Took     time.Duration // the walk
	Sessions []session
}

type session struct {
	ID         string        // redacted
	Key        string        `json:",omitempty"` // as it is, if that is asked for
	Age        time.Duration // since it began
	Idle       time.Duration // since its last access
	Expires    time.Duration `json:",omitempty"` // from now, unless accessed before; 0 is never
	Cost       int64
	Leases     int
	Attributes int
}

// topSessions returns the first n sessions of a map by a measure; nil if there is no such map, or nobody waits for it
// any more.
func (h *handler) topSessions(ctx context.Context, id uint64, name string, by measure, n int) *topSessions {
	in, ok := instance(id)
	if !ok || !h.beginWalk(ctx) {
		return nil
	}
	defer h.endWalk()
	now := time.Now()
	t := &topSessions{Map: id, By: name, Sessions: []session{}}
	first := greatest(n, func(yield func(sessionmap.SessionInfo[any]) bool) {
		for s := range in.Sessions() {
			if t.Walked++; t.Walked%1024 == 0 && ctx.Err() != nil || !yield(s) {
				return
			}
		}
	}, func(s sessionmap.SessionInfo[any]) int64 { return by(s, now) })
	for _, s := range first {
		shown := session{ID: redact(s.ID), Age: s.Age, Idle: idleFor(s, now), Cost: s.Cost, Leases: s.Leases, Attributes: s.Attributes}
		if h.keys {
			shown.Key = readable(s.ID)
		}
		if !s.Deadline.IsZero() {
			shown.Expires = s.Deadline.Sub(now)
		}
		t.Sessions = append(t.Sessions, shown)
	}
	t.Took = time.Since(now)
	return t
}

// beginWalk waits until no other request walks, and reports false when nobody waits for the answer any more.
func (h *handler) beginWalk(ctx context.Context) bool {
	select {
	case h.walking <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (h *handler) endWalk() { <-h.walking }

func instance(id uint64) (sessionmap.Instance, bool) {
	for in := range sessionmap.Instances() {
		if in.ID == id {
			return in, true
		}
	}
	return sessionmap.Instance{}, false
}

// greatest returns the n of all that rank highest, in that order, the older before the younger where they rank the same.
// It never holds more than n.
func greatest(n int, all iter.Seq[sessionmap.SessionInfo[any]], rank func(sessionmap.SessionInfo[any]) int64) []sessionmap.SessionInfo[any] {
	var h leastFirst
	for s := range all {
		r := ranked{rank(s), s}
		if len(h) < n {
			heap.Push(&h, r)
		} else if r.compare(h[0]) > 0 {
			h[0] = r
			heap.Fix(&h, 0)
		}
	}
	slices.SortFunc(h, func(a, b ranked) int { return b.compare(a) })
	var first []sessionmap.SessionInfo[any]
	for _, r := range h {
		first = append(first, r.SessionInfo)
	}
	return first
}

type ranked struct {
	rank int64
	sessionmap.SessionInfo[any]
}

func (r ranked) compare(other ranked) int {
	return cmp.Or(cmp.Compare(r.rank, other.rank), other.Created.Compare(r.Created))
}

// leastFirst is a heap with the lowest rank on top.
type leastFirst []ranked

func (h leastFirst) Len() int           { return len(h) }
func (h leastFirst) Less(i, j int) bool { return h[i].compare(h[j]) < 0 }
func (h leastFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *leastFirst) Push(r any)        { *h = append(*h, r.(ranked)) }
func (h *leastFirst) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// serveEnd ends the session that the form names by its map and its redacted key, and answers whether there was one. It
// walks the map to find it.
func (h *handler) serveEnd(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<12)
	id, err := strconv.ParseUint(r.PostFormValue("map"), 10, 64)
	redacted := r.PostFormValue("session")
	if err != nil || redacted == "" {
		http.Error(w, "want map, the ID of one, and session, its redacted key", http.StatusBadRequest)
		return
	}
	in, ok := instance(id)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if !h.beginWalk(r.Context()) {
		return
	}
	meant := keysOf(r.Context(), in, redacted)
	h.endWalk()                                  // before the callbacks of what ends
	ended := len(meant) == 1 && in.End(meant[0]) // two keys with one redacted form: neither, rather than the wrong one
	writeJSON(w, struct{ Ended bool }{ended})
}

// keysOf returns the keys in a map with one redacted form; none once nobody waits for them any more.
func keysOf(ctx context.Context, in sessionmap.Instance, redacted string) (meant []any) {
	walked := 0
	for s := range in.Sessions() {
		if walked++; walked%1024 == 0 && ctx.Err() != nil {
			return nil
		}
		if redact(s.ID) == redacted {
			meant = append(meant, s.ID)
		}
	}
	return meant
}
