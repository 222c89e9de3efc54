package sessionmap_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// An index beside values that change while it asks to whom they belong.

// TestIndexMadeInACostFunction: an index that is made while a value is on its way in, after the rules were asked and
// before the value is stored, has the session under the owner of that value, by whatever call it comes.
func TestIndexMadeInACostFunction(t *testing.T) {
	type stored = sessionmap.RobustSessionMap[int, string]
	for name, call := range map[string]func(m *stored){
		"Set of a new one":    func(m *stored) { m.Set(2, "b") },
		"Set":                 func(m *stored) { m.Set(1, "b") },
		"SetWithTTL":          func(m *stored) { m.SetWithTTL(1, "b", time.Hour) },
		"GetOrSet":            func(m *stored) { m.GetOrSet(2, "b") },
		"Update":              func(m *stored) { m.Update(1, func(string, bool) (string, bool) { return "b", true }) },
		"Update of a new one": func(m *stored) { m.Update(2, func(string, bool) (string, bool) { return "b", true }) },
		"GetOrLoad": func(m *stored) {
			_, _ = m.GetOrLoad(context.Background(), 2, func(context.Context, int) (string, error) { return "b", nil })
		},
		"Refresh": func(m *stored) { m.Refresh(1, func(context.Context, int) (string, error) { return "b", nil }) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var m *stored
				var index *sessionmap.Index[int, string]
				m = newMap[int, string](t, sessionmap.WithMaxCost(100, func(_ int, v string) int64 {
					if v == "b" && index == nil {
						index = sessionmap.NewIndex(m, func(_ int, v string) string { return v })
					}
					return 1
				}))
				m.Set(1, "a")
				call(m)
				synctest.Wait()
				require.Equal(t, 1, index.Count("b"))
				require.Equal(t, m.Len()-1, index.Count("a"))
				require.Equal(t, 1, index.DeleteBy("b"))
			})
		})
	}
	t.Run("Attribute.Set", func(t *testing.T) {
		g := newGroup(t)
		var a *sessionmap.Attribute[int, string]
		var index *sessionmap.Index[int, string]
		a = sessionmap.NewAttribute[string](g, "a", sessionmap.WithCost(func(_ int, v string) int64 {
			if v == "b" && index == nil {
				index = sessionmap.NewIndex(a, func(_ int, v string) string { return v })
			}
			return 1
		}))
		a.Set(1, "a")
		a.Set(1, "b")
		require.Equal(t, 1, index.Count("b"))
		require.Zero(t, index.Count("a"))
	})
}

// TestIndexOwnerOfAChangedValue: where the value changes while NewIndex asks to whom it belongs, it is asked again.
func TestIndexOwnerOfAChangedValue(t *testing.T) {
	m := newMap[int, string](t)
	m.Set(1, "a")
	first := true
	index := sessionmap.NewIndex(m, func(_ int, v string) string {
		if first {
			first = false
			m.Set(1, "b")
		}
		return v
	})
	require.Equal(t, 1, index.Count("b"))
	require.Zero(t, index.Count("a"))
}

// TestIndexAttributeOfAChangedValue is the same for an attribute.
func TestIndexAttributeOfAChangedValue(t *testing.T) {
	g := newGroup(t)
	a := sessionmap.NewAttribute[string](g, "a")
	a.Set(1, "a")
	first := true
	index := sessionmap.NewIndex(a, func(_ int, v string) string {
		if first {
			first = false
			a.Set(1, "b")
		}
		return v
	})
	require.Equal(t, 1, index.Count("b"))
	require.Zero(t, index.Count("a"))
}
