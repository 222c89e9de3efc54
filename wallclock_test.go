package sessionmap

import (
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// steppedWall returns t with its wall clock set forward by whole seconds, and the same monotonic reading: as if the wall
// clock had been set back since.
func steppedWall(tb testing.TB, t time.Time, d time.Duration) time.Time {
	stepped := t
	*(*uint64)(unsafe.Pointer(&stepped)) += uint64(d/time.Second) << 30 // above the nanoseconds; see the fields of time.Time
	require.Zero(tb, stepped.Sub(t), "by the monotonic clock")
	require.Equal(tb, d, stepped.Round(0).Sub(t.Round(0)), "by the wall clock")
	return stepped
}

// TestWallClockStepsChangeNothing: the wall clock is set back by an hour after the map is made.
func TestWallClockStepsChangeNothing(t *testing.T) {
	base := time.Now()
	c := clock{base: steppedWall(t, base, time.Hour)}
	before := int64(time.Since(base))
	now, exact := c.now(), c.exact()
	after := int64(time.Since(base))
	require.True(t, before <= now && now <= exact && exact <= after, "%d, %d, %d, %d", before, now, exact, after)

	at := time.Now()
	require.Equal(t, int64(at.Sub(base)), c.reading(at))
	require.True(t, at.Equal(c.time(c.reading(at))), "and the other way round")

	c.coarse = newCounter()
	require.LessOrEqual(t, int64(at.Sub(base)), c.exact())
}
