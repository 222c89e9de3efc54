// Emitter wraps the events of a host as the source of a map's session.deleted events, and shows what
// becomes of the events that such hosts really send: late, doubled, for nobody, malformed, or not at all.
//
//	go run ./examples/emitter
//
// host.go is what the host has; deletions, in this file, is all that it takes to adapt it.
package main

import (
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/sessionmap/sessionmap"
)

const (
	sessionDeleted = "session.deleted"
	idle           = 200 * time.Millisecond // stands for half an hour
	alarming       = 0.2                    // the share of sessions caught by the net that calls for a look
)

// deletions makes a source of the host's events. Their arguments are an id and the time of the deletion;
// what has other ones is not for us. An event without a time counts as of now, and can then end a session
// that began after it was sent.
func deletions(host *Host) sessionmap.SourceFunc[string] {
	return func(deleted func(id string, at time.Time)) (cancel func(), err error) {
		return host.On(sessionDeleted, func(args ...any) {
			var id string
			var at time.Time
			var ok bool
			if len(args) > 0 {
				id, ok = args[0].(string)
			}
			if len(args) > 1 {
				at, _ = args[1].(time.Time)
			}
			if ok {
				deleted(id, at)
			}
		}), nil
	}
}

// An Agent is what a session has.
type Agent struct{ ID string }

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(w io.Writer) error {
	host := &Host{}
	agents, err := sessionmap.New[string, *Agent](
		sessionmap.WithTTL(idle),
		sessionmap.WithSweepInterval(idle/4),
		sessionmap.WithSessionDeleted(deletions(host)),
	)
	if err != nil {
		return err
	}
	defer agents.Close()

	agents.Set("ada", &Agent{"ada"})
	emit := func(what string, args ...any) {
		host.Emit(sessionDeleted, args...)
		fmt.Fprintf(w, "%-42s ada is there: %t\n", what, agents.Contains("ada"))
	}
	emit("malformed", 42)
	emit("for a session that nobody knows", "bob", time.Now())
	emit("late: meant the ada of a minute ago", "ada", time.Now().Add(-time.Minute))
	emit("in time", "ada", time.Now())
	emit("doubled", "ada", time.Now())

	const sessions = 10
	for i := range sessions {
		id := fmt.Sprint("session-", i)
		agents.Set(id, &Agent{id})
		if i%2 == 0 {
			host.Emit(sessionDeleted, id, time.Now())
		} // and every other event is lost
	}
	fmt.Fprintf(w, "half of %d events lost: %d sessions left behind\n", sessions, agents.Len())
	time.Sleep(2 * idle)
	fmt.Fprintf(w, "after the idle timeout: %d\n", agents.Len())

	report(w, agents.Stats())
	if err := agents.Close(); err != nil {
		return err
	}
	fmt.Fprintf(w, "after Close the host has %d listeners\n", host.Listeners(sessionDeleted))
	return nil
}

// report is what a host that watches its plugins would do from time to time.
func report(w io.Writer, s sessionmap.Stats) {
	fmt.Fprintf(w, "%d sessions ended: %d by an event, %d by the idle timeout\n",
		s.Ended(), s.Removals[sessionmap.SessionDeleted], s.Removals[sessionmap.Idle])
	if share := s.BackstopShare(); share > alarming {
		fmt.Fprintf(w, "warning: %.0f%% of the sessions had to be caught by a backstop: events do not arrive\n", 100*share)
	}
}
