package sessionmap_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// alerts collects what a map alerts of, and what it logs.
type alerts struct {
	mu  sync.Mutex
	all []sessionmap.Alert
	log logBuffer
}

func (a *alerts) options(rules sessionmap.AlertRules) []sessionmap.Option {
	return []sessionmap.Option{
		sessionmap.WithName("agents"), sessionmap.WithLogger(slog.New(slog.NewTextHandler(&a.log, nil))),
		sessionmap.WithAlerts(rules, func(alert sessionmap.Alert) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.all = append(a.all, alert)
		}),
	}
}

// take returns the alerts since the last take, once the map has looked at its figures.
func (a *alerts) take() (all []sessionmap.Alert) {
	time.Sleep(30 * time.Second)
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	all, a.all = a.all, nil
	return all
}

// kinds are those of the alerts since the last take.
func (a *alerts) kinds() (all []sessionmap.AlertKind) {
	for _, alert := range a.take() {
		all = append(all, alert.Kind)
	}
	return all
}

// TestAlertOfADelete: so is what a delete does.
func TestAlertOfADelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a alerts
		m := newMap[int, int](t, append(a.options(sessionmap.AlertRules{HeapGrowth: -1}), sessionmap.WithTTL(24*time.Hour))...)
		m.Set(1, 1)
		m.OnRemove(func(int, int, sessionmap.Cause) { panic("no") })
		assert.Empty(t, a.kinds())
		time.Sleep(time.Hour)
		m.Delete(1)
		assert.Equal(t, []sessionmap.AlertKind{sessionmap.AlertPanics}, a.kinds())
	})
}

// TestAlertOfADeleteDuringALook: a look that takes its time does not miss what happens meanwhile, though it is the last.
func TestAlertOfADeleteDuringALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m *sessionmap.RobustSessionMap[int, int]
		var kinds []sessionmap.AlertKind
		m = newMap[int, int](t, sessionmap.WithTTL(0), sessionmap.WithMaxSize(2), silent,
			sessionmap.WithAlerts(sessionmap.AlertRules{Repeat: time.Second, HeapGrowth: -1}, func(alert sessionmap.Alert) {
				if kinds = append(kinds, alert.Kind); len(kinds) == 2 { // nothing had happened before this look
					go m.Delete(1)
					time.Sleep(time.Second)
				}
			}))
		goOn := make(chan struct{})
		m.OnRemove(func(int, int, sessionmap.Cause) { <-goOn })
		m.Set(1, 1)
		m.Set(2, 2)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []sessionmap.AlertKind{sessionmap.AlertNearBound, sessionmap.AlertNearBound, sessionmap.AlertBlocked}, kinds)
		assert.False(t, sessionmap.Watching(m))
		close(goOn)
	})
}

// TestAlertOfASweep: what a sweep alone does is looked at, too, after an hour of silence.
func TestAlertOfASweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a alerts
		m := newMap[int, int](t, append(a.options(sessionmap.AlertRules{HeapGrowth: -1}), sessionmap.WithSessionDeleted(sessionmap.NewBus[int]()), sessionmap.WithTTL(time.Hour))...)
		for i := range 300 {
			m.Set(i, i)
		}
		assert.Empty(t, a.kinds())
		time.Sleep(2 * time.Hour)
		assert.Equal(t, []sessionmap.AlertKind{sessionmap.AlertBackstop}, a.kinds())
	})
}

// TestAlertBackstop: the figures of the message are those of the window, and the map says it once an hour.
func TestAlertBackstop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a alerts
		bus := sessionmap.NewBus[int]()
		m := newMap[int, int](t, append(a.options(sessionmap.AlertRules{}), sessionmap.WithSessionDeleted(bus), sessionmap.WithTTL(time.Second), sessionmap.WithMaxSize(0), sessionmap.WithSweepInterval(time.Second))...)
		end := func(idling, events, deletes int) {
			for i := range events + deletes + idling {
				m.Set(i, i)
			}
			for i := range events {
				bus.Publish(i)
			}
			for i := range deletes {
				m.Delete(events + i)
			}
			time.Sleep(5 * time.Second)
		}
		end(38, 161, 0)
		assert.Empty(t, a.take(), "not 200 yet")
		end(1, 0, 0)
		assert.Empty(t, a.take(), "39 of 200 is less than a fifth")
		end(150, 3, 47)
		assert.Equal(t, []sessionmap.Alert{{
			Kind: sessionmap.AlertBackstop, Name: "agents",
			Message: "session.deleted reached 3 of the last 200 ended sessions, and deletes 47; reclaimed were 150 after idling",
			Advice:  "see whether the source delivers its events, and whether every way out of a session deletes it (defer)",
		}}, a.take())
		assert.Contains(t, a.log.String(), "session.deleted reached 3 of the last 200")
		end(200, 0, 0)
		assert.Empty(t, a.take(), "said just before")
		time.Sleep(time.Hour)
		end(200, 0, 0)
		assert.Len(t, a.take(), 1)
	})
}

// TestAlertBackstopPrecision loses a share of the events of sessions that come and go at random: above the share of
// the rules the map alerts in every run, below it in none.
func TestAlertBackstopPrecision(t *testing.T) {
	for lost, want := range map[float64]bool{0: false, 0.01: false, 0.1: false, 0.5: true, 1: true} {
		t.Run(fmt.Sprint("lost=", lost), func(t *testing.T) {
			for seed := range uint64(10) {
				synctest.Test(t, func(t *testing.T) {
					var a alerts
					bus := sessionmap.NewBus[int]()
					m := newMap[int, int](t, append(a.options(sessionmap.AlertRules{}), sessionmap.WithSessionDeleted(bus), sessionmap.WithMaxSize(0))...)
					rng := rand.New(rand.NewPCG(seed, 0))
					for id := range 1000 {
						m.Set(id, id)
						if rng.Float64() >= lost {
							time.AfterFunc(time.Duration(rng.Int64N(int64(20*time.Minute))), func() { bus.Publish(id) })
						}
						time.Sleep(time.Duration(rng.Int64N(int64(10 * time.Second))))
					}
					time.Sleep(2 * time.Hour)
					kinds := a.kinds()
					if !want {
						require.Empty(t, kinds, "seed %d", seed)
						return
					}
					require.NotEmpty(t, kinds, "seed %d", seed)
					for _, kind := range kinds {
						require.Equal(t, sessionmap.AlertBackstop, kind)
					}
					reached := m.Stats().Removals[sessionmap.SessionDeleted]
					require.InDelta(t, 1000*(1-lost), reached, 60)
				})
			}
		})
	}
}

// TestAlertBackstopWithoutSource: a map that has no events to miss says nothing, unless it is asked to.
func TestAlertBackstopWithoutSource(t *testing.T) {
	for share, want := range map[float64]int{0: 0, 0.5: 1, -1: 0} {
		synctest.Test(t, func(t *testing.T) {
			var a alerts
			m := newMap[int, int](t, append(a.options(sessionmap.AlertRules{BackstopShare: share}), sessionmap.WithMaxSize(0))...)
			for i := range 300 {
				m.Set(i, i)
			}
			time.Sleep(2 * sessionmap.DefaultTTL)
			assert.Len(t, a.take(), want, "share %v", share)
		})
	}
}

// TestAlertNearBound: from nine tenths on; the advice is about the bound that it is.
func TestAlertNearBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a alerts
		m := newMap[int, int](t, append(a.options(sessionmap.AlertRules{}), sessionmap.WithMaxSize(100), sessionmap.WithMaxCost(1000, itself))...)
		for i := range 89 {
			m.Set(i, 0)
		}
		assert.Empty(t, a.take())
		m.Set(100, 899)
		all := a.take()
		require.Len(t, all, 1)
		assert.Equal(t, "a size of 90 is near the bound of 100", all[0].Message)
		assert.Contains(t, all[0].Advice, "raise WithMaxSize")
		m.Clear()
		time.Sleep(time.Hour)
		m.Set(100, 900)
		all = a.take()
		require.Len(t, all, 1)
		assert.Equal(t, "a cost of 900 is near the bound of 1000", all[0].Message)
	})
}

// TestAlertEvicting: for sessions that had not idled for long, and not for those that a limit of their owner ends.
func TestAlertEvicting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a alerts
		m := newMap[int, int](t, append(a.options(sessionmap.AlertRules{Fill: -1}), sessionmap.WithMaxSize(2), sessionmap.WithTTL(idle))...)
		sessionmap.NewIndex(m, func(_, owner int) int { return owner }, sessionmap.WithOwnerLimit(1, sessionmap.EndOldest))
		m.Set(1, 1)
		time.Sleep(5 * time.Second)
		m.Set(2, 2)
		m.Set(3, 2)
		assert.Empty(t, a.take(), "the owner's limit")
		m.Set(4, 4)
		m.Set(5, 5)
		all := a.take()
		require.Len(t, all, 1)
		assert.Equal(t, sessionmap.AlertEvicting, all[0].Kind)
		assert.Equal(t, fmt.Sprintf("2 sessions were evicted before their idle timeout of %v, one of them 30s after its last access", idle), all[0].Message)
	})
}

// TestAlertPressure: with how many.
func TestAlertPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a alerts
		m, h := pressed(t, 100, 0, append(a.options(sessionmap.AlertRules{HeapGrowth: -1}), sessionmap.WithName("pressed"))...)
		collect(h, 1000)
		all := a.take()
		require.Len(t, all, 1)
		assert.Equal(t, sessionmap.AlertPressure, all[0].Kind)
		assert.Equal(t, "pressed", all[0].Name)
		assert.Equal(t, "50 sessions were ended for memory pressure", all[0].Message)
		assert.Equal(t, 50, m.Len())
	})
}

// TestAlertAfterARest: whatever ends a session, the map looks at its figures again.
func TestAlertAfterARest(t *testing.T) {
	for name, end := range map[string]func(m *sessionmap.RobustSessionMap[int, int], h *sessionmap.Heap){
		"pressure": func(_ *sessionmap.RobustSessionMap[int, int], h *sessionmap.Heap) { collect(h, 1000) },
		"clear":    func(m *sessionmap.RobustSessionMap[int, int], _ *sessionmap.Heap) { m.Clear() },
		"delete by a function": func(m *sessionmap.RobustSessionMap[int, int], _ *sessionmap.Heap) {
			m.DeleteFunc(func(int, int) bool { return true })
		},
		"context": func(m *sessionmap.RobustSessionMap[int, int], _ *sessionmap.Heap) {
			ctx, cancel := context.WithCancel(context.Background())
			m.BindContext(ctx, 1)
			cancel()
			synctest.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var a alerts
				m, h := pressed(t, 100, 0, a.options(sessionmap.AlertRules{HeapGrowth: -1, Fill: -1})...)
				time.Sleep(5 * time.Minute)
				require.False(t, sessionmap.Watching(m), "nothing happens")
				end(m, h)
				assert.True(t, sessionmap.Watching(m))
			})
		})
	}
}

// TestAlertLeases: the log has been told where they were found, and hears it once.
func TestAlertLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a alerts
		m := newMap[int, int](t, append(a.options(sessionmap.AlertRules{}), sessionmap.WithLeaseWarning(time.Minute))...)
		m.Set(1, 1)
		time.Sleep(time.Hour - time.Minute)
		m.Set(1, 1)
		m.SetWithTTL(1, 1, 2*time.Hour)
		lease, _ := m.Acquire(1)
		assert.Empty(t, a.take())
		time.Sleep(time.Minute)
		all := a.take()
		require.Len(t, all, 1)
		assert.Equal(t, sessionmap.AlertLeases, all[0].Kind)
		assert.Equal(t, "1 leases are held for longer than 1m0s", all[0].Message)
		assert.Equal(t, 1, strings.Count(a.log.String(), "held for long"))
		lease.Release()
	})
}

// TestAlertLeaseOfAnOldSession: the map looks again when a lease has become too old, however quiet it was before.
func TestAlertLeaseOfAnOldSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a alerts
		m := newMap[int, int](t, append(a.options(sessionmap.AlertRules{HeapGrowth: -1}), sessionmap.WithTTL(24*time.Hour), sessionmap.WithLeaseWarning(time.Minute))...)
		m.Set(1, 1)
		time.Sleep(time.Hour)
		lease, _ := m.Acquire(1)
		defer lease.Release()
		time.Sleep(time.Hour)
		assert.Equal(t, []sessionmap.AlertKind{sessionmap.AlertLeases}, a.kinds())
	})
}

// TestAlertPanics: those of a group's attributes too.
func TestAlertPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a alerts
		g := newGroup(t, a.options(sessionmap.AlertRules{})...)
		attribute := sessionmap.NewAttribute[int](g, "a", sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) { panic("no") }))
		attribute.Set(1, 1)
		attribute.Set(2, 1)
		g.Clear()
		all := a.take()
		require.Len(t, all, 1)
		assert.Equal(t, sessionmap.AlertPanics, all[0].Kind)
		assert.Equal(t, "2 callbacks panicked", all[0].Message)
		assert.EqualValues(t, 2, g.Stats().CallbackPanics)
		assert.EqualValues(t, 2, attribute.Stats().CallbackPanics)
	})
}

// TestAlertBlocked: of a callback of a call, and of one that holds up the sweeps; not of a load, which may take its time.
func TestAlertBlocked(t *testing.T) {
	for name, end := range map[string]func(m *sessionmap.RobustSessionMap[int, int]){
		"delete": func(m *sessionmap.RobustSessionMap[int, int]) { go m.Delete(1) },
		"sweep":  func(m *sessionmap.RobustSessionMap[int, int]) { time.Sleep(2 * time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var a alerts
				goOn := make(chan struct{})
				m := newMap[int, int](t, append(a.options(sessionmap.AlertRules{}), sessionmap.WithTTL(time.Minute),
					sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) { <-goOn }))...)
				m.Set(1, 1)
				time.Sleep(30 * time.Second)
				end(m)
				assert.Equal(t, []sessionmap.AlertKind{sessionmap.AlertBlocked}, a.kinds())
				assert.False(t, sessionmap.Watching(m), "it has been said")
				close(goOn)
			})
		})
	}
	// One of an attribute is one of its group.
	synctest.Test(t, func(t *testing.T) {
		var a alerts
		goOn := make(chan struct{})
		g := newGroup(t, a.options(sessionmap.AlertRules{})...)
		attribute := sessionmap.NewAttribute[int](g, "", sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) { <-goOn }))
		attribute.Set(1, 1)
		go attribute.Set(1, 2)
		assert.Equal(t, []sessionmap.AlertKind{sessionmap.AlertBlocked}, a.kinds())
		close(goOn)
	})
	// One that began just before a look is not blocked, nor is a load.
	synctest.Test(t, func(t *testing.T) {
		var a alerts
		m := newMap[int, int](t, append(a.options(sessionmap.AlertRules{}), sessionmap.WithOnRemove(func(int, int, sessionmap.Cause) { time.Sleep(2 * time.Second) }))...)
		m.Set(1, 1)
		time.Sleep(9 * time.Second)
		m.Delete(1)
		assert.Empty(t, a.take())
	})
	synctest.Test(t, func(t *testing.T) {
		var a alerts
		m := newMap[int, int](t, a.options(sessionmap.AlertRules{})...)
		m.Set(2, 2)
		go func() {
			_, _ = m.GetOrLoad(t.Context(), 1, func(context.Context, int) (int, error) { time.Sleep(time.Hour); return 1, nil })
		}()
		assert.Empty(t, a.take())
		time.Sleep(2 * time.Hour)
	})
}

// TestAlertHeap: a heap that grows at a steady slope while the sessions stay; not one that grows with them, or jumps to
// and fro.
func TestAlertHeap(t *testing.T) {
	const mb = 1 << 20
	for name, c := range map[string]struct {
		live     func(minute int) int
		sessions func(minute int) int
		want     bool
	}{
		"grows":                   {func(i int) int { return 100 + 3*i }, func(int) int { return 50 }, true},
		"grows, up and down":      {func(i int) int { return 100 + 3*i + 40*(i%2) }, func(i int) int { return 50 + 5*(i%2) }, true},
		"stays":                   {func(int) int { return 100 }, func(int) int { return 50 }, false},
		"jumps to and fro":        {func(i int) int { return 100 + 900*(i%2) }, func(int) int { return 50 }, false},
		"grows with the sessions": {func(i int) int { return 100 + 3*i }, func(i int) int { return 50 + 5*i }, false},
		"grows by little":         {func(i int) int { return 100 + i/2 }, func(int) int { return 50 }, false},
		"is small":                {func(i int) int { return 1 + i/3 }, func(int) int { return 50 }, false},
		"shrinks":                 {func(i int) int { return 300 - 3*i }, func(int) int { return 50 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var a alerts
				var h sessionmap.Heap
				m := newMap[int, int](t, append(a.options(sessionmap.AlertRules{Fill: -1}), sessionmap.WithHeap(&h), sessionmap.WithTTL(0), sessionmap.WithMaxSize(10_000))...)
				for minute := range 60 {
					h.Live.Store(uint64(c.live(minute) * mb))
					for n := m.Len(); n < c.sessions(minute); n++ {
						m.Set(n, n)
					}
					for n := m.Len() - 1; n >= c.sessions(minute); n-- {
						m.Delete(n)
					}
					time.Sleep(time.Minute)
				}
				all := a.take()
				if !c.want {
					assert.Empty(t, all)
					return
				}
				require.Len(t, all, 1)
				assert.Equal(t, sessionmap.AlertHeap, all[0].Kind)
				assert.Contains(t, all[0].Message, "the live heap grew by ")
			})
		})
	}
}

// TestAlertHeapInTheShortestWindow: what is not refused works.
func TestAlertHeapInTheShortestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window = 150 * time.Second
		_, err := sessionmap.New[int, int](sessionmap.WithAlerts(sessionmap.AlertRules{HeapWindow: window - 1}, nil))
		require.Error(t, err)
		var a alerts
		var h sessionmap.Heap
		m := newMap[int, int](t, append(a.options(sessionmap.AlertRules{HeapWindow: window}), sessionmap.WithHeap(&h))...)
		m.Set(1, 1)
		for second := range uint64(300) {
			h.Live.Store((100 + second) << 20)
			time.Sleep(time.Second)
		}
		assert.Equal(t, []sessionmap.AlertKind{sessionmap.AlertHeap}, a.kinds())
	})
}

// TestAlertOnce: a negative Repeat is never again.
func TestAlertOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a alerts
		m := newMap[int, int](t, append(a.options(sessionmap.AlertRules{Repeat: -1}), sessionmap.WithMaxSize(1))...)
		m.Set(1, 1)
		lease, _ := m.Acquire(1)
		defer lease.Release()
		time.Sleep(30 * time.Minute)
		assert.Equal(t, []sessionmap.AlertKind{sessionmap.AlertNearBound}, a.kinds())
	})
}

// TestAlertHookPanics: the map goes on, and counts it.
func TestAlertHookPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[int, int](t, sessionmap.WithMaxSize(1), sessionmap.WithLogger(slog.New(slog.DiscardHandler)),
			sessionmap.WithAlerts(sessionmap.AlertRules{HeapGrowth: -1}, func(sessionmap.Alert) { panic("no") }))
		m.Set(1, 1)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.EqualValues(t, 2, m.Stats().CallbackPanics, "at the bound, and of the panic of that")
		assert.False(t, sessionmap.Watching(m), "nothing happens any more")
		m.Set(2, 2)
		assert.True(t, sessionmap.Watching(m))
	})
}

// TestAlertsByDefault: the log hears of them without any option.
func TestAlertsByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		m := newMap[int, int](t, sessionmap.WithLogger(slog.New(slog.NewTextHandler(&log, nil))), sessionmap.WithMaxSize(10))
		for i := range 10 {
			m.Set(i, i)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Contains(t, log.String(), "near the bound of 10")
		assert.Contains(t, log.String(), "raise WithMaxSize")
		assert.False(t, sessionmap.Watching(m))
	})
}

func TestWithAlertsRefuses(t *testing.T) {
	for want, rules := range map[string]sessionmap.AlertRules{
		"WithAlerts(1.5): want a BackstopShare of 1":          {BackstopShare: 1.5},
		"WithAlerts(2): want a Fill of 1":                     {Fill: 2},
		"WithAlerts(NaN): want a number for HeapGrowth":       {HeapGrowth: math.NaN()},
		"WithAlerts(1): want a BackstopWindow of more than 1": {BackstopWindow: 1},
		"WithAlerts(1m0s): want a HeapWindow of 2m30s":        {HeapWindow: time.Minute},
	} {
		_, err := sessionmap.New[int, int](sessionmap.WithAlerts(rules, nil))
		assert.ErrorContains(t, err, want)
	}
	_, err := sessionmap.New[int, int](sessionmap.WithAlerts(sessionmap.AlertRules{Fill: math.NaN()}, nil))
	assert.ErrorContains(t, err, "NaN")
	assert.Equal(t, "near bound", sessionmap.AlertNearBound.String())
	assert.Equal(t, "AlertKind(99)", sessionmap.AlertKind(99).String())
}
