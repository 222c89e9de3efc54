package sessionmap_test

import (
	"bytes"
	"encoding/json"
	"expvar"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// instances are those with one of the given labels, by label. Other tests have others.
func instances(labels ...string) map[string]sessionmap.Instance {
	found := make(map[string]sessionmap.Instance)
	for in := range sessionmap.Instances() {
		if slices.Contains(labels, in.Label) {
			found[in.Label] = in
		}
	}
	return found
}

// TestInstances: what those see who do not know a map's types.
func TestInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMap[string, *int](t, sessionmap.WithName("a map"), sessionmap.WithTTL(idle), sessionmap.WithMaxLifetime(lifetime), sessionmap.WithCost(func(string, *int) int64 { return 7 }))
		g := newGroup(t, sessionmap.WithName("a group"), sessionmap.WithTTL(0), sessionmap.WithMaxLifetime(lifetime))
		names := sessionmap.NewAttribute[string](g, "name")
		sessionmap.NewAttribute[int](g, "age")
		m.Set("ada", nil)
		names.Set(1, "Ada")
		names.Set(2, "Grace")
		time.Sleep(time.Minute)
		lease, _ := m.Acquire("ada")

		all := instances("a map", "a group")
		require.Len(t, all, 2)
		in := all["a map"]
		assert.Equal(t, []any{false, "string", "*int", idle, lifetime}, []any{in.Group, in.KeyType, in.ValueType, in.IdleTimeout, in.Lifetime})
		assert.Equal(t, m.Stats(), in.Stats())
		assert.Empty(t, in.Attributes())
		sessions := slices.Collect(in.Sessions())
		entry, _ := m.Entry("ada")
		assert.Equal(t, []sessionmap.SessionInfo[any]{{ID: "ada", Age: time.Minute, Entry: entry}}, sessions)
		assert.Equal(t, 1, entry.Leases)
		assert.EqualValues(t, 7, entry.Cost)
		lease.Release()

		in = all["a group"]
		assert.Equal(t, []any{true, "int", "", time.Duration(0)}, []any{in.Group, in.KeyType, in.ValueType, in.IdleTimeout})
		attributes := in.Attributes()
		require.Len(t, attributes, 2)
		assert.Equal(t, "name", attributes[0].Name)
		assert.Equal(t, 2, attributes[0].Live)
		assert.Zero(t, attributes[1].Live)
		for s := range in.Sessions() {
			assert.Equal(t, 1, s.Attributes)
			break
		}
		assert.False(t, in.End("1"), "a key of another type")
		assert.False(t, in.End(3))
		assert.True(t, in.End(1))
		assert.False(t, g.Contains(1))
		assert.EqualValues(t, 1, g.Stats().Removals[sessionmap.Deleted])
		assert.True(t, all["a map"].End("ada"))

		require.NoError(t, m.Close())
		require.NoError(t, g.Close())
		assert.Empty(t, instances("a map", "a group"))
	})
}

// TestInstancesLabels: they differ, whatever the names, and stay for as long as the map is there.
func TestInstancesLabels(t *testing.T) {
	made := make(map[uint64]bool)
	for in := range sessionmap.Instances() {
		made[in.ID] = true
	}
	mine := func() (ids []uint64, all []string) {
		for in := range sessionmap.Instances() {
			if !made[in.ID] {
				ids, all = append(ids, in.ID), append(all, in.Label)
			}
		}
		return ids, all
	}
	first := newMap[int, int](t, sessionmap.WithName("twin"))
	ids, _ := mine()
	next := ids[0] + 1
	for _, name := range []string{"twin", "", fmt.Sprint("twin#", next), "\xff", "\xfe", fmt.Sprint("twin#", next+6), "twin"} {
		newMap[int, int](t, sessionmap.WithName(name))
	}
	ids, all := mine()
	assert.IsIncreasing(t, ids)
	want := []string{"twin", fmt.Sprint("twin#", next), fmt.Sprint("#", next+1), fmt.Sprintf("twin#%d#%d", next, next+2), "\uFFFD", fmt.Sprint("\uFFFD#", next+4),
		fmt.Sprint("twin#", next+6), fmt.Sprintf("twin#%d#%d", next+6, next+6)}
	assert.Equal(t, want, all)
	require.NoError(t, first.Close())
	_, all = mine()
	assert.Equal(t, want[1:], all)
	newMap[int, int](t, sessionmap.WithName("twin"))
	_, all = mine()
	assert.Equal(t, "twin", all[7], "it was free")
}

// TestInstanceAttributesDiffer: their names, at least.
func TestInstanceAttributesDiffer(t *testing.T) {
	g := newGroup(t, sessionmap.WithName("with twins"))
	for range 2 {
		sessionmap.NewAttribute[int](g, "a")
	}
	attributes := instances("with twins")["with twins"].Attributes()
	require.Len(t, attributes, 2)
	assert.Equal(t, "a", attributes[0].Name)
	assert.Equal(t, "a#2", attributes[1].Name)
}

// TestInstancesDoNotPin: the registry forgets a map that was dropped without Close.
func TestInstancesDoNotPin(t *testing.T) {
	func() {
		m := sessionmap.MustNew[int, int](sessionmap.WithName("dropped map"))
		m.Set(1, 1)
		a := sessionmap.NewAttribute[int](sessionmap.MustNewGroup[int](sessionmap.WithName("dropped group")), "a")
		a.Set(1, 1)
		assert.Len(t, instances("dropped map", "dropped group"), 2)
		runtime.KeepAlive(m)
		runtime.KeepAlive(a)
	}()
	for len(instances("dropped map", "dropped group")) > 0 || sessionmap.Registered("dropped map")+sessionmap.Registered("dropped group") > 0 {
		runtime.GC()
		runtime.Gosched()
	}
}

// TestInstancesAreLetGo: once all maps of a burst are gone, nothing is left of the room that they took in the registry.
func TestInstancesAreLetGo(t *testing.T) {
	assert.Zero(t, sessionmap.RollRoom(1000))
}

// TestAttributeKeepsItsGroup: from the registry too, though nobody holds the group.
func TestAttributeKeepsItsGroup(t *testing.T) {
	a := sessionmap.NewAttribute[int](sessionmap.MustNewGroup[int](sessionmap.WithName("held by its attribute")), "a")
	runtime.GC()
	runtime.GC()
	assert.Len(t, instances("held by its attribute"), 1)
	runtime.KeepAlive(a)
}

// TestStatsAsJSON: a map, a group and an attribute are each an expvar.Var.
func TestStatsAsJSON(t *testing.T) {
	m := newMap[int, int](t, sessionmap.WithName("agents"), sessionmap.WithMaxSize(10))
	g := newGroup(t, sessionmap.WithName("group"))
	a := sessionmap.NewAttribute[int](g, "a")
	m.Set(1, 1)
	m.Set(1, 2)
	m.Delete(1)
	m.Set(2, 2)
	a.Set(1, 1)
	m.SetWithTTL(3, 3, -1)
	for _, v := range []expvar.Var{m, g, a, m.Stats()} {
		var got map[string]any
		require.NoError(t, json.Unmarshal([]byte(v.String()), &got))
		assert.EqualValues(t, 1, got["Live"])
	}
	var got struct {
		Name     string
		Removals map[string]int
	}
	require.NoError(t, json.Unmarshal([]byte(m.String()), &got))
	assert.Equal(t, "agents", got.Name)
	assert.Equal(t, map[string]int{"replaced": 1, "deleted": 1, "rejected": 1}, got.Removals)
}

// TestStatsInLogs: a map in a log line says how it is.
func TestStatsInLogs(t *testing.T) {
	m := newMap[int, int](t, sessionmap.WithName("agents"), sessionmap.WithMaxSize(10), sessionmap.WithCost(itself))
	g := newGroup(t)
	a := sessionmap.NewAttribute[int](g, "name")
	m.Set(1, 7)
	m.Set(2, 5)
	m.Delete(1)
	lease, _ := m.Acquire(2)
	defer lease.Release()
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("now", "map", m, "group", g, "attribute", a)
	var line struct{ Map, Group, Attribute map[string]any }
	require.NoError(t, json.Unmarshal(b.Bytes(), &line))
	assert.Equal(t, map[string]any{
		"name": "agents", "live": 1.0, "max_size": 10.0, "cost": 5.0, "max_cost": 0.0, "leases": 1.0,
		"removals": map[string]any{"deleted": 1.0}, "backstop_share": 0.0,
	}, line.Map)
	assert.Contains(t, line.Group, "live")
	assert.Equal(t, "name", line.Attribute["name"])
	assert.NotContains(t, slices.Collect(maps.Keys(line.Group)), "cost")
}
