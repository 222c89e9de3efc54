// Machine checks the library's sense of time on a machine of its own, whose clock can be stepped and which can be put to
// sleep: it builds a program (testdata/guest) that uses the library, boots a Linux in QEMU that runs nothing else, and
// passes on what that tells. It needs qemu-system-x86_64 and a Linux kernel for it, and no rights; the clock of the
// machine on which it runs is left alone. A minute and a half.
//
//	go run ./proof/machine -fetch   # downloads both, on Debian, into the user's cache directory; once
//	go run ./proof/machine
//
// A line a check, and one with their numbers at the end. It exits with 1 where a check fails or the machine does not
// come to its end, and with 2 where something is missing.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", ".", "the `directory` of the library")
	kernel := flag.String("kernel", "", "the Linux `image` to boot, for amd64; by default a downloaded or installed one")
	get := flag.Bool("fetch", false, "download QEMU and a kernel, where they are not there yet, with apt-get")
	limit := flag.Duration("timeout", 10*time.Minute, "how long the machine may take")
	verbose := flag.Bool("v", false, "show all that the machine writes")
	flag.Parse()

	t, err := findTools(*kernel, *get)
	if err != nil {
		log.Print(err)
		os.Exit(2)
	}
	m, err := check(*dir, t, *limit, *verbose)
	if err != nil {
		fmt.Printf("FAIL the machine comes to its end: %v\n", err)
		m.checks++
		m.failed++
	}
	fmt.Printf("checks=%d failed=%d\n", m.checks, m.failed)
	if m.failed > 0 {
		os.Exit(1)
	}
}

// check builds the guest and runs it.
func check(dir string, t tools, limit time.Duration, verbose bool) (m machine, err error) {
	scratch, err := os.MkdirTemp("", "machine-")
	if err != nil {
		return m, err
	}
	defer os.RemoveAll(scratch)
	guest := filepath.Join(scratch, "init")
	build := exec.Command("go", "build", "-o", guest, "./proof/machine/testdata/guest")
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return m, fmt.Errorf("building the guest: %w", err)
	}
	program, err := os.ReadFile(guest)
	if err != nil {
		return m, err
	}
	files := filepath.Join(scratch, "initramfs")
	if err := os.WriteFile(files, initramfs(program), 0o600); err != nil {
		return m, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err = m.run(t.command(ctx, files), verbose)
	return m, errors.Join(ctx.Err(), err)
}

// command starts a machine with one processor, a serial console and nothing else, which ends where it would restart.
func (t tools) command(ctx context.Context, initramfs string) *exec.Cmd {
	args := append(t.firmware, "-machine", "pc,accel=tcg", "-m", "512", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
		"-kernel", t.kernel, "-initrd", initramfs, "-append", "console=ttyS0 quiet panic=-1")
	c := exec.CommandContext(ctx, t.qemu, args...)
	c.Env = append(os.Environ(), t.env...)
	return c
}

const (
	mark    = "@ " // begins the lines of the guest
	endLine = "end checks=%d failed=%d"
)

// A machine is what has been heard of one.
type machine struct {
	checks, failed int
	ended          bool
	console        []string // the last lines
}

// run starts the machine and listens until it is switched off. All of its checks have to arrive.
func (m *machine) run(c *exec.Cmd, verbose bool) error {
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	c.Stderr = c.Stdout
	if err := c.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		m.hear(line)
		if verbose {
			fmt.Println(line)
		}
	}
	err = errors.Join(lines.Err(), c.Wait())
	if err == nil && !m.ended {
		err = errors.New("it ended early")
	}
	if err != nil {
		fmt.Printf("the last lines of its console:\n\t%s\n", strings.Join(m.console, "\n\t"))
	}
	return err
}

func (m *machine) hear(line string) {
	m.console = append(m.console, line)
	if len(m.console) > 30 {
		m.console = m.console[1:]
	}
	// What the kernel writes, and the firmware while it clears the screen, may stand before the guest's.
	_, told, ok := strings.Cut(line, mark)
	if !ok {
		return
	}
	var checks, failed int
	switch {
	case strings.HasPrefix(told, "ok "):
		m.checks++
	case strings.HasPrefix(told, "FAIL "):
		m.checks++
		m.failed++
	case scan(told, &checks, &failed):
		m.ended = checks == m.checks && failed == m.failed && checks > 0
		return
	}
	fmt.Println(told)
}

func scan(line string, checks, failed *int) bool {
	n, err := fmt.Sscanf(line, endLine, checks, failed)
	return err == nil && n == 2
}
