package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
)

// childVariable, in the environment of this program, makes it the child of another one.
const childVariable = "AGENTHOST_CHILD"

// beChild does what the tool server or shell of a session does most of the time. Its standard input ends when the
// parent does, however that ends, so no child is left behind by a parent that was killed.
func beChild() { _, _ = io.Copy(io.Discard, os.Stdin) }

// A child is this program, started once more.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	ended chan struct{}
}

func startChild() (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("agenthost: starting a child process: %w", err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("agenthost: starting a child process: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("agenthost: starting a child process: %w", err)
	}
	c := &child{cmd, stdin, make(chan struct{})}
	go func() {
		defer close(c.ended)
		_ = cmd.Wait() // that it was killed is no news
	}()
	return c, nil
}

// Close ends the child, unless it has ended, and returns when it has. Should it be one that cannot be killed, the
// end of its standard input ends it.
func (c *child) Close() error {
	_ = c.cmd.Process.Kill()
	_ = c.stdin.Close()
	<-c.ended
	return nil
}
