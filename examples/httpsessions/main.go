// Httpsessions is a web server with sessions: login, a page that counts visits, another id for a session, logout
// here and everywhere; an idle timeout, an absolute lifetime and a limit for each user; and a shutdown that
// releases what the sessions own.
//
//	go run ./examples/httpsessions                # plays one visit against itself, and ends
//	go run ./examples/httpsessions -addr :8080    # serves until interrupted
//
//	main.go ─► server.go   the handlers, the cookie
//	   │           └─► session.go   the sessions, and what they own
//	   └─────► visit.go    the browsers' part of one visit
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	c := config{Idle: 30 * time.Minute, Lifetime: 8 * time.Hour, RenewGrace: 10 * time.Second, MaxSessions: 10_000, PerUser: 3}
	flag.DurationVar(&c.Idle, "idle", c.Idle, "end a session that has not been used for this long")
	flag.DurationVar(&c.Lifetime, "lifetime", c.Lifetime, "end a session after this long, however busy it is")
	flag.DurationVar(&c.RenewGrace, "renew-grace", c.RenewGrace, "take the old id of a renewed session for this long")
	flag.IntVar(&c.PerUser, "per-user", c.PerUser, "end a user's oldest session when there would be more than this many")
	flag.BoolVar(&c.SecureCookie, "secure", false, "let browsers send the cookie over TLS only; set it wherever there is TLS")
	addr := flag.String("addr", "", "serve on this `address` until interrupted; without it, play one visit and end")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt does not wait for anything
	run := func() error { return demonstrate(ctx, c) }
	if *addr != "" {
		run = func() error { return listenAndServe(ctx, c, *addr) }
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

// listenAndServe serves on addr until ctx is done.
func listenAndServe(ctx context.Context, c config, addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("serving on http://%s\n", listener.Addr())
	return serve(ctx, c, listener)
}

// demonstrate serves on a free port for as long as one visit takes.
func demonstrate(ctx context.Context, c config) error {
	c.SecureCookie = false // there is no TLS on this way from the machine to itself
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, interrupt := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- serve(ctx, c, listener) }()
	err = visit(ctx, os.Stdout, "http://"+listener.Addr().String())
	interrupt()
	return errors.Join(err, <-served)
}

// shutdownGrace is how long requests under way may take to end.
const shutdownGrace = 10 * time.Second

// serve runs the server until ctx is done, then lets it end in order: first the requests, then the
// sessions, so that no handler finds what its session owns released under its hands.
func serve(ctx context.Context, c config, listener net.Listener) error {
	s, err := newServer(c)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	srv := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	select {
	case err = <-failed:
	case <-ctx.Done():
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		err = srv.Shutdown(grace)
	}
	err = errors.Join(err, s.close())
	stats := s.sessions.Stats()
	fmt.Printf("shut down; sessions: %d began, %d ended, %d left\n", stats.Sets, stats.Ended(), stats.Live)
	return err
}
