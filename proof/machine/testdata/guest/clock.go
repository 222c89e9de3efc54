//go:build linux

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// The kernel's clocks. They are read by a system call, and not by package time, which the library rests on.
const (
	realtime  = 0
	monotonic = 1
	boottime  = 7 // goes on while the machine sleeps
)

func read(clock uintptr) time.Duration {
	var t syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		panic(errno)
	}
	return time.Duration(t.Nano())
}

func mono() time.Duration { return read(monotonic) }

// wall has no monotonic reading: such a time comes from another process.
func wall() time.Time { return time.Unix(0, int64(read(realtime))) }

// setWall fails where the kernel refuses such a time.
func setWall(t time.Time) error {
	tv := syscall.NsecToTimeval(t.UnixNano())
	return syscall.Settimeofday(&tv)
}

// suspend puts the machine to sleep, all but its memory, until its hardware clock wakes it after some seconds.
func suspend(seconds int) error {
	const rtc = "/sys/class/rtc/rtc0/"
	now, err := os.ReadFile(rtc + "since_epoch")
	if err != nil {
		return err
	}
	at, err := strconv.Atoi(strings.TrimSpace(string(now)))
	if err != nil {
		return err
	}
	for _, alarm := range []int{0, at + seconds} { // 0 does away with an alarm that was set before
		if err := os.WriteFile(rtc+"wakealarm", []byte(strconv.Itoa(alarm)), 0); err != nil {
			return err
		}
	}
	return os.WriteFile("/sys/power/state", []byte("mem"), 0)
}

// An instant is what all clocks say at one time.
type instant struct{ wall, mono, boot time.Duration }

func clocks() instant { return instant{read(realtime), read(monotonic), read(boottime)} }

// jump is by how much more the wall clock has gone on than the monotonic one.
func (i instant) jump() time.Duration {
	now := clocks()
	return (now.wall - i.wall) - (now.mono - i.mono)
}

func (i instant) String() string {
	now := clocks()
	return fmt.Sprintf("wall clock %v, monotonic clock %v, time since boot %v", rounded(now.wall-i.wall), rounded(now.mono-i.mono), rounded(now.boot-i.boot))
}

func rounded(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
