//go:build linux

// Guest is the one program of an emulated machine, which go run ./proof/machine builds and boots. It steps the wall
// clock and suspends the machine in the middle of sessions' lives, tells on the console what became of them, and powers
// off. It lies in testdata because the module has no requirement on the library, which a workspace does not ask for.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: this sets the clock of its machine, and runs as the first process of an emulated one only")
		os.Exit(2)
	}
	r := &report{}
	if err := run(r); err != nil {
		r.check("the machine can be stepped and suspended", err.Error())
	}
	fmt.Printf("%send checks=%d failed=%d\n", mark, r.checks, r.failed)
	syscall.Sync()
	syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
}

const asleep = 15 // seconds

func run(r *report) error {
	if err := syscall.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mounting /sys: %w", err)
	}
	veterans := newSubjects("made before all steps")
	by := func(d time.Duration) func() time.Time { return func() time.Time { return wall().Add(d) } }
	to := func(t time.Time) func() time.Time { return func() time.Time { return t } }
	began, bootAt := wall(), mono()
	const years = 10 * 365 * 24 * time.Hour
	for _, step := range []struct {
		scene string
		to    func() time.Time
	}{
		{"no step", by(0)},
		{"1 s forward", by(time.Second)}, {"1 s back", by(-time.Second)},
		{"1 h forward", by(time.Hour)}, {"1 h back", by(-time.Hour)},
		{"10 years forward", by(years)}, {"10 years back", by(-years)},
		{"to 1970", to(time.Unix(3600, 0))},
		{"before 1970", to(time.Unix(-3600, 0))},
		{"from 1970 to today", func() time.Time { return began.Add(mono() - bootAt) }},
		{"to 2160", to(time.Date(2160, 1, 1, 0, 0, 0, 0, time.UTC))},
		{"from 2160 to today", func() time.Time { return began.Add(mono() - bootAt) }},
	} {
		if err := r.play(step.scene, veterans, newSubjects("made for this"), func() (more bool, err error) {
			err = setWall(step.to())
			if errors.Is(err, syscall.EINVAL) {
				r.note("the kernel does not let the clock be set to that")
				err = nil
			}
			return false, err
		}); err != nil {
			return err
		}
	}
	if err := r.play("an hour to and fro, again and again", veterans, newSubjects("made for this"), toAndFro(30)); err != nil {
		return err
	}
	return r.sleep(veterans)
}

// newSubjects makes one of each clock; none where the year is such that Go's time.Now has no monotonic reading, as from
// 2157 on: a map made then goes by the wall clock.
func newSubjects(when string) []*subject {
	if now := time.Now(); now == now.Round(0) {
		return nil
	}
	return []*subject{
		newSubject("the exact clock, "+when, 0),
		newSubject("a coarse clock, "+when, coarseStep),
	}
}

// toAndFro steps the wall clock n times, and ends where it began.
func toAndFro(n int) func() (more bool, err error) {
	by := time.Hour
	return func() (more bool, err error) {
		err = setWall(wall().Add(by))
		by = -by
		n--
		return n > 0, err
	}
}

// sleep suspends the machine for much longer than the timeouts.
func (r *report) sleep(veterans []*subject) error {
	const scene = "asleep"
	fresh := newSubjects("made for this")
	all := slices.Concat(veterans, fresh)
	err := r.play(scene, veterans, fresh, func() (more bool, err error) {
		var from instant
		var key string
		for try := range 3 { // in case it takes too long to wake up
			key = fmt.Sprint("live before ", try)
			for _, s := range all {
				s.looked.Set(key, 1)
			}
			from = clocks()
			if err := suspend(asleep); err != nil {
				return false, err
			}
			r.note("over the suspend: %v", from)
			if mono()-from.mono < timeout/2 {
				break
			}
		}
		now := clocks()
		for _, s := range all {
			there := s.looked.Contains(key)
			r.tell(s, "a session that was live before is live after", faultIf(!there, "gone, %v after it was set on the monotonic clock", mono()-from.mono))
		}
		const least = asleep * time.Second / 2
		r.check("the wall clock shows that the machine slept", faultIf(now.wall-from.wall < least, "it went on by %v", now.wall-from.wall))
		r.check("so does the clock that counts the sleep", faultIf(now.boot-from.boot < least, "it went on by %v", now.boot-from.boot))
		r.check("the monotonic clock stood still", faultIf(now.mono-from.mono > timeout/2, "it went on by %v", now.mono-from.mono))
		return false, nil
	})
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("this kernel cannot be suspended, or has no hardware clock: %w", err)
	}
	return err
}
