package debugpage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

func TestGreatest(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	start := time.Now()
	for range 200 {
		n, count := 1+r.IntN(20), r.IntN(100)
		var all []sessionmap.SessionInfo[any]
		for i := range count {
			all = append(all, sessionmap.SessionInfo[any]{ID: i, Entry: sessionmap.Entry{Cost: int64(r.IntN(10)), Created: start.Add(time.Duration(r.IntN(1e9)))}})
		}
		cost := func(s sessionmap.SessionInfo[any]) int64 { return s.Cost }
		got := greatest(n, slices.Values(all), cost)
		slices.SortFunc(all, func(a, b sessionmap.SessionInfo[any]) int {
			return ranked{b.Cost, b}.compare(ranked{a.Cost, a})
		})
		require.Equal(t, all[:min(n, count)], append(all[:0:0], got...))
	}
}

// TestGreatestHoldsFew: what is kept of a million sessions does not grow with them.
func TestGreatestHoldsFew(t *testing.T) {
	count := func(sessions int) float64 {
		var all iter.Seq[sessionmap.SessionInfo[any]] = func(yield func(sessionmap.SessionInfo[any]) bool) {
			for i := range sessions {
				if !yield(sessionmap.SessionInfo[any]{Entry: sessionmap.Entry{Cost: int64(i)}}) {
					return
				}
			}
		}
		return testing.AllocsPerRun(2, func() { greatest(10, all, func(s sessionmap.SessionInfo[any]) int64 { return s.Cost }) })
	}
	assert.InDelta(t, count(100), count(100_000), 5)
}

// TestWalkEnds: a walk ends when nobody waits for it, and the next has its turn.
func TestWalkEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := sessionmap.MustNew[int, int](sessionmap.WithMaxSize(5000), sessionmap.WithName("walk"))
		defer m.Close()
		for i := range 5000 {
			m.Set(i, i)
		}
		id := idOf("walk")
		h := Handler().(*handler)
		gone, leave := context.WithCancel(t.Context())
		h.walking <- struct{}{}
		waited := make(chan *topSessions)
		go func() { waited <- h.topSessions(gone, id, "age", measures["age"], 10) }()
		synctest.Wait()
		leave()
		assert.Nil(t, <-waited, "while another walks")

		go func() { waited <- h.topSessions(t.Context(), id, "age", measures["age"], 10) }()
		synctest.Wait()
		h.endWalk()
		assert.Equal(t, 5000, (<-waited).Walked)

		gone, leave = context.WithCancel(t.Context())
		by := func(s sessionmap.SessionInfo[any], _ time.Time) int64 { leave(); return 0 }
		assert.Equal(t, 1024, h.topSessions(gone, id, "age", by, 10).Walked)
	})
}

// idOf returns the ID of the instance with a label.
func idOf(label string) (id uint64) {
	for in := range sessionmap.Instances() {
		if in.Label == label {
			id = in.ID
		}
	}
	return id
}

// TestEndHoldsUpNobody: a callback that blocks at the end of a session keeps nobody from the page; and nothing is ended
// for somebody who has gone.
func TestEndHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		m := sessionmap.MustNew[int, int](sessionmap.WithName("ends"), sessionmap.WithMaxSize(2000), sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) { <-goOn }))
		for i := range 2000 {
			m.Set(i, i)
		}
		id := idOf("ends")
		h := Handler().(*handler)
		end := func(ctx context.Context) {
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/end", strings.NewReader(url.Values{"map": {fmt.Sprint(id)}, "session": {redact(1)}}.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			h.serveEnd(httptest.NewRecorder(), r)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		assert.Empty(t, keysOf(gone, instanceOf(t, id), redact(1)))
		few := sessionmap.MustNew[int, int](sessionmap.WithName("few"), sessionmap.WithMaxSize(1000))
		defer few.Close()
		for i := range 1000 {
			few.Set(i, i)
		}
		assert.Equal(t, []any{1}, keysOf(gone, instanceOf(t, idOf("few")), redact(1)), "the context is not asked at each session")
		go end(t.Context())
		synctest.Wait()
		assert.Equal(t, 1999, m.Len())
		assert.Len(t, h.topSessions(t.Context(), id, "age", measures["age"], 10).Sessions, 10)
		close(goOn)
		synctest.Wait()
		require.NoError(t, m.Close())
	})
}

func instanceOf(t *testing.T, id uint64) sessionmap.Instance {
	in, ok := instance(id)
	require.True(t, ok)
	return in
}

// TestCauses: they have the names by which the removals are counted.
func TestCauses(t *testing.T) {
	assert.Contains(t, causes, cause{"session_deleted", "session deleted", false, true})
	assert.Contains(t, causes, cause{"memory_pressure", "memory pressure", true, true})
	assert.Contains(t, causes, cause{"replaced", "replaced", false, false})
	assert.Len(t, causes, len(slices.Collect(sessionmap.Causes())))
}

type masked string

func (masked) String() string { return "***" }

type failing struct{ int }

func (failing) Error() string { return errors.New("text").Error() }

func TestRedact(t *testing.T) {
	assert.Equal(t, redact("a"), redact("a"))
	seen := make(map[string]any)
	x := 1
	for _, key := range []any{"a", "b", "", 1, int64(1), masked("a"), masked("b"), [2]string{"a b", ""}, [2]string{"a", "b "}, &x, failing{1}, nil} {
		hash := redact(key)
		assert.Len(t, hash, 16)
		assert.NotContains(t, seen, hash, "%v", key)
		seen[hash] = key
	}
}

func TestReadable(t *testing.T) {
	x := struct{ secret string }{"secret"}
	for want, key := range map[string]any{
		"a b":                          "a b",
		"grün 日本":                      "grün 日本",
		`""`:                           "",
		`"a\nb"`:                       "a\nb",
		`"a\u202eb"`:                   "a\u202eb",
		`"\xff"`:                       "\xff",
		"7":                            7,
		"***":                          masked("a"),
		"text":                         failing{1},
		"{1 2}":                        struct{ a, b int }{1, 2},
		"<nil>":                        nil,
		strings.Repeat("é", 100) + "…": strings.Repeat("é", 101),
		strings.Repeat("é", 99) + "a…": strings.Repeat("é", 99) + "aé",
		strings.Repeat("é", 100):       strings.Repeat("é", 100),
	} {
		assert.Equal(t, want, readable(key))
	}
	assert.Equal(t, fmt.Sprintf("%p", &x), readable(&x))
}

func TestProblems(t *testing.T) {
	f := mapFigures{Stats: sessionmap.Stats{OverdueLeases: 1, LostLeases: 2, CallbackPanics: 4, CloseErrors: 8}}
	assert.EqualValues(t, 15, f.Problems())
	assert.EqualValues(t, 30, snapshot{Maps: []mapFigures{f, f}}.Problems())
}

func TestText(t *testing.T) {
	for n, want := range map[int]string{0: "0", 12: "12", 999: "999", 1000: "1,000", -1000: "-1,000", -100: "-100", 1234567: "1,234,567"} {
		assert.Equal(t, want, grouped(n))
	}
	assert.Equal(t, "66.7 %", percent(2./3))
	assert.Equal(t, "1.5 MiB", mebibytes(uint64(3<<19)))
}
