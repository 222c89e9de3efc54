package sessionmap

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestStopOfAnAlarmThatHasFired: who stops an alarm whose timer has just fired waits for the goroutine of that, be it that
// this one has not come as far as the map's lock yet.
func TestStopOfAnAlarmThatHasFired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lock, rings := make(chan struct{}), 0
		var a alarm
		a = newAlarm(time.Second, func() {
			<-lock
			a.begin(0)
			rings++
			a.end()
		})
		a.arm(int64(time.Second), 0)
		time.Sleep(time.Second)
		synctest.Wait()
		ended := a.stop()
		require.NotNil(t, ended)
		close(lock)
		<-ended
		require.Equal(t, 1, rings)
	})
}

// TestTimersOfADroppedMapStop: those that have been armed, and they hold nothing until they would have fired.
func TestTimersOfADroppedMapStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slots [4]*timerSlot
		for i := range slots {
			slots[i] = new(timerSlot)
		}
		a := newAlarm(time.Second, func() { t.Error("it was stopped") })
		a.arm(int64(time.Second), 0)
		slots[2] = a.timer
		stopTimers(slots)
		time.Sleep(time.Minute)
	})
}

// TestStopOfAnAlarmBeforeItFires: there is nothing to wait for.
func TestStopOfAnAlarmBeforeItFires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAlarm(time.Second, func() { t.Error("it was stopped") })
		require.Nil(t, a.stop())
		a.arm(int64(time.Second), 0)
		require.Nil(t, a.stop())
		time.Sleep(time.Minute)
	})
}
