package sessionmap_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/sessionmap/sessionmap"
)

func ExampleGroup() {
	sessions := sessionmap.MustNewGroup[string](
		sessionmap.WithTTL(30*time.Minute),
		sessionmap.WithMaxSize(1000),
	)
	defer sessions.Close()
	agents := sessionmap.NewAttribute[*Agent](sessions, "agent", sessionmap.WithOnRemove(
		func(id string, a *Agent, cause sessionmap.Cause) { a.Close() }))
	history := sessionmap.NewAttribute[[]string](sessions, "history")
	sessions.OnEnd(func(id string, cause sessionmap.Cause) { fmt.Println(id, cause) })

	agents.Set("session-1", &Agent{Name: "Ada"})
	history.Update("session-1", func(old []string, _ bool) ([]string, bool) {
		return append(slices.Clip(old), "hello"), true
	})
	for s := range sessions.Sessions() {
		fmt.Println(s.ID, s.Attributes)
	}
	sessions.Delete("session-1")
	fmt.Println(agents.Len(), history.Len())
	// Output:
	// session-1 2
	// closed Ada
	// session-1 deleted
	// 0 0
}

// A round of work is not cut off by a timeout or a bound, and is told when the session is ended under it.
func ExampleGroup_Do() {
	sessions := sessionmap.MustNewGroup[string]()
	defer sessions.Close()
	err := sessions.Do(context.Background(), "session-1", func(ctx context.Context, s *sessionmap.Session[string]) error {
		sessions.Delete(s.ID()) // somebody logs out
		return context.Cause(ctx)
	})
	fmt.Println(err)
	// Output: sessionmap: the session has ended: deleted
}

// The session lives as long as the function, however that ends.
func ExampleGroup_Run() {
	sessions := sessionmap.MustNewGroup[string]()
	defer sessions.Close()
	agents := sessionmap.NewAttribute[*Agent](sessions, "agent")
	err := sessions.Run(context.Background(), "session-1", func(_ context.Context, s *sessionmap.Session[string]) error {
		agents.Set(s.ID(), &Agent{Name: "Ada"})
		return errors.New("failed")
	})
	fmt.Println(err, sessions.Contains("session-1"), agents.Len())
	// Output: failed false 0
}

func ExampleRobustSessionMap_Acquire() {
	agents := sessionmap.MustNew[string, *Agent](sessionmap.WithMaxSize(1))
	defer agents.Close()
	agents.Set("session-1", &Agent{Name: "Ada"})
	lease, ok := agents.Acquire("session-1")
	if !ok {
		return
	}
	defer lease.Release()
	fmt.Println(agents.Set("session-2", &Agent{}), lease.Value().Name) // the only place is taken
	agents.Delete("session-1")
	<-lease.Done()
	fmt.Println("ended under the lease")
	// Output:
	// false Ada
	// ended under the lease
}

func ExampleLease_Within() {
	agents := sessionmap.MustNew[string, *Agent]()
	defer agents.Close()
	agents.Set("session-1", &Agent{})
	lease, _ := agents.Acquire("session-1")
	defer lease.Release()
	ctx, stop := lease.Within(context.Background()) // of the request, say
	defer stop()
	agents.Clear()
	fmt.Println(context.Cause(ctx))
	// Output: sessionmap: the session has ended: cleared
}

// Maps that are there already come under the life of a group by added lines.
func ExampleNewGuard() {
	var mu sync.Mutex
	agents := map[string]*Agent{"session-1": {Name: "Ada"}}
	var tokens sync.Map

	sessions := sessionmap.MustNewGroup[string](sessionmap.WithTTL(30 * time.Minute)) // added
	defer sessions.Close()
	sessionmap.NewGuard(sessions, &mu, agents) // added
	sessionmap.NewSyncGuard(sessions, &tokens) // added

	if sessions.Touch("session-2") { // added
		mu.Lock()
		agents["session-2"] = &Agent{Name: "Bob"}
		mu.Unlock()
		tokens.Store("session-2", "secret")
	}
	sessions.Delete("session-2") // or its end by an event, a timeout, a bound
	sessions.Delete("session-1")
	_, ok := tokens.Load("session-2")
	fmt.Println(len(agents), ok)
	// Output: 0 false
}

func ExampleNewIndex() {
	type login struct{ user string }
	logins := sessionmap.MustNew[string, *login]()
	defer logins.Close()
	byUser := sessionmap.NewIndex(logins, func(_ string, l *login) string { return l.user },
		sessionmap.WithOwnerLimit(2, sessionmap.EndOldest))
	for _, id := range []string{"laptop", "phone", "tablet"} {
		logins.Set(id, &login{"ada"})
	}
	for id := range byUser.Of("ada") {
		fmt.Println(id)
	}
	fmt.Println(byUser.Count("ada"), byUser.DeleteBy("ada"), logins.Len())
	// Output:
	// phone
	// tablet
	// 2 2 0
}

func ExampleRobustSessionMap_GetOrLoad() {
	profiles := sessionmap.MustNew[string, string](sessionmap.WithRefreshAfter(time.Minute))
	defer profiles.Close()
	load := func(ctx context.Context, id string) (string, error) {
		fmt.Println("loading", id)
		return "profile of " + id, nil
	}
	for range 2 {
		profile, err := profiles.GetOrLoad(context.Background(), "session-1", load)
		fmt.Println(profile, err)
	}
	// Output:
	// loading session-1
	// profile of session-1 <nil>
	// profile of session-1 <nil>
}

func ExampleRobustSessionMap_Rename() {
	agents := sessionmap.MustNew[string, *Agent](sessionmap.WithRenameGrace(10 * time.Second))
	defer agents.Close()
	agents.Set("before login", &Agent{Name: "Ada"})
	fmt.Println(agents.Rename("before login", "after login"))
	a, _ := agents.Get("after login")
	old, ok := agents.Get("before login") // a request that is still under way with it
	fmt.Println(a.Name, old == a, ok, agents.Len())
	fmt.Println(agents.Rename("nobody", "somebody"))
	// Output:
	// <nil>
	// Ada true true 1
	// sessionmap: no such session: Rename from nobody
}

func ExampleWithTombstones() {
	agents := sessionmap.MustNew[string, *Agent](sessionmap.WithTombstones(time.Minute))
	defer agents.Close()
	agents.Set("session-1", &Agent{})
	agents.Delete("session-1")
	fmt.Println(agents.Set("session-1", &Agent{})) // a straggler
	// Output: false
}

// A file is closed when its session ends, whatever the reason.
type file struct{ name string }

func (f *file) Close() error {
	fmt.Println("closed", f.name)
	return nil
}

func ExampleWithCloser() {
	files := sessionmap.MustNew[string, io.Closer](sessionmap.WithCloser())
	files.Set("session-1", &file{"a"})
	files.Set("session-1", &file{"b"})
	files.Close()
	// Output:
	// closed a
	// closed b
}

func ExampleRobustSessionMap_SetContext() {
	agents := sessionmap.MustNew[string, *Agent]()
	defer agents.Close()
	connection, hangUp := context.WithCancel(context.Background())
	agents.SetContext(connection, "session-1", &Agent{})
	session, _ := agents.SessionContext("session-1")
	hangUp()
	<-session.Done()
	fmt.Println(context.Cause(session), agents.Len())
	// Output: sessionmap: the session has ended: context done 0
}

func ExampleRobustSessionMap_Scope() {
	agents := sessionmap.MustNew[string, *Agent]()
	defer agents.Close()
	func() {
		defer agents.Scope("session-1")()
		agents.Set("session-1", &Agent{})
		fmt.Println(agents.Len())
	}()
	fmt.Println(agents.Len())
	// Output:
	// 1
	// 0
}

func ExampleRobustSessionMap_Adopt() {
	agents := sessionmap.MustNew[string, *Agent]()
	defer agents.Close()
	fmt.Println(agents.Adopt(map[string]*Agent{"session-1": {}, "session-2": {}}), agents.Len())
	// Output: 2 2
}

func ExampleWeak() {
	type conn struct{ buffer [64]byte }
	users := sessionmap.NewWeak[conn, string]()
	c := &conn{}
	users.Set(c, "ada")
	user, ok := users.Get(c)
	fmt.Println(user, ok, c.buffer[0]) // when c is no longer used anywhere, its user goes by itself
	// Output: ada true 0
}
