// Command command has a struct that is declared in main, and one in a function that main calls for each.
package main

import (
	"net/http"
	"sync"
)

func main() {
	type state struct {
		sync.Mutex
		conns map[string]int
		peers sync.Map
	}
	s := &state{conns: make(map[string]int)}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.Lock()
		s.conns[r.RemoteAddr]++ // want `grows: state.conns grows with r.RemoteAddr and nothing removes from it`
		s.Unlock()
		s.peers.Store(r.RemoteAddr, 1)
		defer s.peers.Delete(r.RemoteAddr)
		visit([]string{r.FormValue("user")})
	})
	http.ListenAndServe(":8080", nil)
}

func visit(userIDs []string) int {
	type state struct {
		sync.Mutex
		conns map[string]int
	}
	s := &state{conns: make(map[string]int)}
	var group sync.WaitGroup
	for _, userID := range userIDs {
		group.Go(func() {
			s.Lock()
			s.conns[userID]++
			s.Unlock()
		})
	}
	group.Wait()
	return len(s.conns)
}
