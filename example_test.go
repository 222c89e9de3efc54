package sessionmap_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/sessionmap/sessionmap"
)

// An Agent is state that belongs to a session and owns something.
type Agent struct{ Name string }

func (a *Agent) Close() { fmt.Println("closed", a.Name) }

func Example() {
	agents := sessionmap.MustNew[string, *Agent](
		sessionmap.WithTTL(30*time.Minute),
		sessionmap.WithMaxSize(1000),
		sessionmap.WithOnRemove(func(id string, a *Agent, cause sessionmap.Cause) { a.Close() }),
	)
	defer agents.Close()

	agents.Set("session-1", &Agent{Name: "Ada"})
	if a, ok := agents.Get("session-1"); ok {
		fmt.Println("hello", a.Name)
	}
	agents.Delete("session-1")
	// Output:
	// hello Ada
	// closed Ada
}

// One map with each option there is.
func ExampleNew() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	agents, err := sessionmap.New[string, *Agent](
		sessionmap.WithName("agents"),                // in logs and Stats
		sessionmap.WithTTL(30*time.Minute),           // idle timeout
		sessionmap.WithMaxLifetime(8*time.Hour),      // however busy
		sessionmap.WithMaxSize(1000),                 // the least recently accessed gives way
		sessionmap.WithSweepInterval(10*time.Second), // how soon what is expired is released
		sessionmap.WithContext(ctx),                  // Close when done
		sessionmap.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer agents.Close()
	fmt.Println(agents.Set("session-1", &Agent{Name: "Ada"}), agents.Len())
	// Output: true 1
}

func ExampleOptionError() {
	_, err := sessionmap.New[string, *Agent](sessionmap.WithTTL(-time.Second))
	var option *sessionmap.OptionError
	fmt.Println(errors.As(err, &option), option.Option)
	fmt.Println(err)
	// Output:
	// true WithTTL
	// sessionmap: WithTTL(-1s): want 0 (off) or more
}

func ExampleWithOnRemove() {
	agents := sessionmap.MustNew[string, *Agent](
		sessionmap.WithMaxSize(1),
		sessionmap.WithOnRemove(func(id string, a *Agent, cause sessionmap.Cause) {
			fmt.Println(id, cause, cause.Backstop())
		}),
	)
	agents.Set("session-1", &Agent{})
	agents.Set("session-1", &Agent{})
	agents.Set("session-2", &Agent{})
	agents.Delete("session-2")
	agents.Close()
	agents.Set("session-3", &Agent{})
	// Output:
	// session-1 replaced false
	// session-1 evicted true
	// session-2 deleted false
	// session-3 rejected false
}

// Where the host has no event of its own, a Bus carries session.deleted to every map of the process.
func ExampleBus() {
	deleted := sessionmap.NewBus[string]()
	agents := sessionmap.MustNew[string, *Agent](sessionmap.WithSessionDeleted(deleted))
	history := sessionmap.MustNew[string, []string](sessionmap.WithSessionDeleted(deleted))
	defer agents.Close()
	defer history.Close()

	agents.Set("session-1", &Agent{})
	history.Set("session-1", []string{"hello"})
	deleted.Publish("session-1")
	fmt.Println(agents.Len(), history.Len())
	// Output: 0 0
}

// An Emitter stands for the events of a host that one has to live with.
type Emitter struct {
	handlers map[int]func(id string, at time.Time)
}

func (e *Emitter) On(handler func(id string, at time.Time)) (number int) {
	e.handlers[len(e.handlers)] = handler
	return len(e.handlers) - 1
}
func (e *Emitter) Off(number int) { delete(e.handlers, number) }
func (e *Emitter) Emit(id string, at time.Time) {
	for _, handler := range e.handlers {
		handler(id, at)
	}
}

func ExampleSourceFunc() {
	host := &Emitter{handlers: map[int]func(string, time.Time){}}
	agents := sessionmap.MustNew[string, *Agent](sessionmap.WithSessionDeleted(
		sessionmap.SourceFunc[string](func(deleted func(id string, at time.Time)) (cancel func(), err error) {
			number := host.On(deleted)
			return func() { host.Off(number) }, nil
		})))
	agents.Set("session-1", &Agent{})
	host.Emit("session-1", time.Now().Add(-time.Hour)) // meant an earlier session of that id
	fmt.Println(agents.Contains("session-1"))
	host.Emit("session-1", time.Now())
	fmt.Println(agents.Contains("session-1"))
	agents.Close()
	fmt.Println(len(host.handlers))
	// Output:
	// true
	// false
	// 0
}

func ExampleRobustSessionMap_GetOrSet() {
	agents := sessionmap.MustNew[string, *Agent]()
	defer agents.Close()
	a, loaded := agents.GetOrSet("session-1", &Agent{Name: "Ada"})
	fmt.Println(a.Name, loaded)
	a, loaded = agents.GetOrSet("session-1", &Agent{Name: "Bob"})
	fmt.Println(a.Name, loaded)
	// Output:
	// Ada false
	// Ada true
}

func ExampleRobustSessionMap_Update() {
	history := sessionmap.MustNew[string, []string]()
	defer history.Close()
	add := func(id, message string) {
		history.Update(id, func(old []string, ok bool) ([]string, bool) {
			// Runs again if another goroutine was faster, so it must not write into old.
			return append(old[:len(old):len(old)], message), true
		})
	}
	add("session-1", "hello")
	add("session-1", "world")
	messages, _ := history.Get("session-1")
	fmt.Println(messages)
	// Output: [hello world]
}

func ExampleRobustSessionMap_Entry() {
	tokens := sessionmap.MustNew[string, string](sessionmap.WithMaxLifetime(time.Hour))
	defer tokens.Close()
	tokens.SetWithTTL("session-1", "secret", 5*time.Minute) // of higher value, of shorter life
	tokens.Touch("session-1")
	e, _ := tokens.Entry("session-1")
	fmt.Println(e.IdleTimeout, e.Deadline.Sub(e.LastAccess))

	value, ok := tokens.Peek("session-1") // looks without extending the session's life, as Contains does
	fmt.Println(value, ok, tokens.Contains("session-1"))
	// Output:
	// 5m0s 5m0s
	// secret true true
}

func ExampleRobustSessionMap_Oldest() {
	agents := sessionmap.MustNew[string, *Agent]()
	defer agents.Close()
	for _, id := range []string{"a", "b", "c"} {
		agents.Set(id, &Agent{Name: id})
	}
	agents.Get("a")
	for id := range agents.Oldest() {
		fmt.Println(id)
	}
	for id, a := range agents.All() { // in no order; the loop may change the map
		if a.Name == "b" {
			agents.Delete(id)
		}
	}
	n := agents.DeleteFunc(func(id string, a *Agent) bool { return id > "b" })
	fmt.Println("deleted", n)
	for id := range agents.Keys() {
		fmt.Println("left", id)
	}
	// Output:
	// b
	// c
	// a
	// deleted 1
	// left a
}

func ExampleRobustSessionMap_OnRemove() {
	agents := sessionmap.MustNew[string, *Agent]()
	cancel := agents.OnRemove(func(id string, _ *Agent, cause sessionmap.Cause) { fmt.Println(id, cause) })
	agents.Set("session-1", &Agent{Name: "Ada"})
	agents.Set("session-2", &Agent{Name: "Bob"})
	if a, ok := agents.Take("session-1"); ok {
		fmt.Println("took", a.Name)
	}
	fmt.Println("cleared", agents.Clear())
	cancel()
	agents.Set("session-3", &Agent{})
	fmt.Println(agents.Close())
	// Output:
	// session-1 deleted
	// took Ada
	// session-2 cleared
	// cleared 1
	// <nil>
}

// Stats tells whether the session.deleted events arrive: of three sessions two had to be caught.
func ExampleRobustSessionMap_Stats() {
	deleted := sessionmap.NewBus[string]()
	agents := sessionmap.MustNew[string, *Agent](sessionmap.WithName("agents"), sessionmap.WithMaxSize(1), sessionmap.WithSessionDeleted(deleted))
	defer agents.Close()
	for _, id := range []string{"a", "b", "c"} {
		agents.Set(id, &Agent{})
	}
	deleted.Publish("c")
	agents.Sweep() // the map does so by itself
	s := agents.Stats()
	fmt.Printf("%s: %d set, %d live, %d by event, %.0f%% by a backstop\n",
		s.Name, s.Sets, s.Live, s.Removals[sessionmap.SessionDeleted], 100*s.BackstopShare())
	// Output: agents: 3 set, 0 live, 1 by event, 67% by a backstop
}
