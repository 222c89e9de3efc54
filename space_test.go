package sessionmap

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What the order of access holds on to.

// TestRecencyGivesSpaceBack: after most of the sessions of a large map have ended, at random, the order of access takes the
// space of those that are left, and the notebook fits them.
func TestRecencyGivesSpaceBack(t *testing.T) {
	const n = 50_000
	m := MustNew[int, int](WithMaxSize(0), WithTTL(time.Hour))
	defer m.Close()
	for key := range n {
		m.Set(key, key)
	}
	for key := range 20_000 {
		m.Get(key)
	}
	r := &m.policy.Load().recency
	require.True(t, r.notes.Load().fits(n), "slots: %d", r.notes.Load().mask+1)
	m.DeleteFunc(func(key, _ int) bool { return key%10 != 0 })
	space, live := cap(r.space), 0
	for _, b := range r.batches {
		if b != nil {
			space += cap(b.entries)
			live += b.live
		}
	}
	require.Equal(t, n/10, live)
	require.Less(t, space, 4*live, "slots for %d entries", live)
	require.True(t, r.notes.Load().fits(n/10), "slots: %d", r.notes.Load().mask+1)
}

// TestNotesPinNothing: notes that were taken keep nothing of the sessions that they were of.
func TestNotesPinNothing(t *testing.T) {
	m := MustNew[int, int](WithMaxSize(0), WithTTL(time.Hour))
	defer m.Close()
	const n = smallMap + 2000
	for key := range n {
		m.Set(key, key)
	}
	for key := range 4 * noteBatch {
		m.Get(key)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := &m.policy.Load().recency
	for r.drain() {
	}
	noted := 0
	for i := range r.notes.Load().lanes {
		l := &r.notes.Load().lanes[i]
		noted += int(l.readAt)
		for j := range l.slots {
			require.Nil(t, l.slots[j].entry, "lane %d, slot %d", i, j)
		}
	}
	require.NotZero(t, noted)
}
