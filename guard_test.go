package sessionmap_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessionmap/sessionmap"
)

// TestGuardMoveOvertaken: what happens to a session, or to the next of its former id, between its rename and the moment at
// which the guarded maps follow.
func TestGuardMoveOvertaken(t *testing.T) {
	for name, tc := range map[string]struct {
		meanwhile func(g *sessionmap.Group[int], put func(id int, value string))
		want      map[int]string
	}{
		"nothing":             {func(*sessionmap.Group[int], func(int, string)) {}, map[int]string{2: "moved"}},
		"it is renamed again": {func(g *sessionmap.Group[int], _ func(int, string)) { _ = g.Rename(2, 3) }, map[int]string{3: "moved"}},
		"it ends":             {func(g *sessionmap.Group[int], _ func(int, string)) { g.Delete(2) }, map[int]string{}},
		"it is put anew": {func(g *sessionmap.Group[int], put func(int, string)) {
			g.Touch(2)
			put(2, "newer")
		}, map[int]string{2: "newer"}},
		"another begins under the former id": {func(g *sessionmap.Group[int], put func(int, string)) {
			g.Touch(1)
			put(1, "next")
		}, map[int]string{1: "next"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t)
			lock, plain := &hookLock{}, map[int]string{}
			var synced sync.Map
			sessionmap.NewGuard(g, lock, plain)
			sessionmap.NewSyncGuard(g, &synced)
			put := func(id int, value string) {
				lock.Mutex.Lock()
				defer lock.Mutex.Unlock()
				plain[id] = value
				synced.Store(id, value)
			}
			g.Touch(1)
			put(1, "moved")
			lock.before = func() { tc.meanwhile(g, put) } // when the first guard moves it
			require.NoError(t, g.Rename(1, 2))
			require.Equal(t, tc.want, plain)
			got := map[int]string{}
			for id, value := range synced.Range {
				got[id.(int)] = value.(string)
			}
			require.Equal(t, tc.want, got)
		})
	}
}
