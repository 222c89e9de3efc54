// Quickstart is the shortest honest program with a session map. Its agents once stood in a leaking
//
//	var mu sync.Mutex
//	var agents = map[string]*Agent{}
//
// that relied on a delete, or on an event, that did not always come.
//
//	go run ./examples/quickstart
package main

import (
	"fmt"
	"log"
	"time"

	"github.com/sessionmap/sessionmap"
)

// An Agent works for one session, on a goroutine of its own, until it is released.
type Agent struct {
	questions chan string
	release   chan struct{}
	released  chan struct{}
}

func newAgent() *Agent {
	a := &Agent{make(chan string), make(chan struct{}), make(chan struct{})}
	go a.work()
	return a
}

func (a *Agent) work() {
	defer close(a.released)
	for {
		select {
		case q := <-a.questions:
			fmt.Println("  answered:", q)
		case <-a.release:
			return
		}
	}
}

// Ask puts a question. The session may end at any time, so that nobody is there to answer.
func (a *Agent) Ask(question string) {
	select {
	case a.questions <- question:
	case <-a.released:
	}
}

// Release ends the agent's goroutine and waits for its end. It is called once.
func (a *Agent) Release() {
	close(a.release)
	<-a.released
}

func main() {
	deleted := sessionmap.NewBus[string]() // where the host publishes session.deleted
	agents, err := sessionmap.New[string, *Agent](
		sessionmap.WithTTL(30*time.Minute), // for the sessions nobody ends
		sessionmap.WithMaxSize(1000),       // and if they come faster than that
		sessionmap.WithSessionDeleted(deleted),
		// However a session ends, this is where its agent is released, once.
		sessionmap.WithOnRemove(func(id string, a *Agent, cause sessionmap.Cause) {
			a.Release()
			fmt.Printf("%s released: %s\n", id, cause)
		}),
	)
	if err != nil {
		log.Fatal(err)
	}

	converse(agents, "session-1") // ends in the code

	agents.Set("session-2", newAgent())
	deleted.Publish("session-2") // ends by an event

	agents.Set("session-3", newAgent()) // nobody ends it: Close does now, the idle timeout would have

	if err := agents.Close(); err != nil {
		log.Print(err)
	}
	s := agents.Stats()
	fmt.Printf("%d sessions, %d live, %d ended, %.0f%% of them by a backstop\n",
		s.Sets, s.Live, s.Ended(), 100*s.BackstopShare())
}

// converse is one conversation, from its first question to its end.
func converse(agents *sessionmap.RobustSessionMap[string, *Agent], id string) {
	agents.Set(id, newAgent())
	defer agents.Delete(id) // also on the way out of a panic
	for _, q := range []string{"what is a session?", "and when does it end?"} {
		if a, ok := agents.Get(id); ok {
			a.Ask(q)
		}
	}
}
