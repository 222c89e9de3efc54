// Command command has what main makes, and what comes to it.
package main

import (
	"net"
	"sync"
)

type user struct{ ID string }

type server struct {
	mu    sync.Mutex
	users map[string]user
	conns map[string]net.Conn
	peers map[string]net.Conn
	noted map[string]int
	known map[string]int
}

var routes = make(map[string]func(string))

func route(path string, fn func(string)) { routes[path] = fn }

func each(all []string, fn func(string)) {
	for _, s := range all {
		fn(s)
	}
}

func (s *server) AddUser(u user) {
	s.mu.Lock()
	s.users[u.ID] = u // want `grows: server.users grows with u.ID`
	s.mu.Unlock()
}

// ---- reported ----

func (s *server) accept(conn net.Conn) {
	s.mu.Lock()
	s.conns[conn.RemoteAddr().String()] = conn // want `grows: server.conns grows with conn.RemoteAddr\(\).String\(\) and nothing removes from it`
	s.mu.Unlock()
}

func main() {
	s := new(server)
	for _, id := range []string{"a", "b"} {
		s.AddUser(user{ID: id})
	}
	route("/note", func(userID string) {
		s.mu.Lock()
		s.noted[userID]++ // want `grows: server.noted grows with userID and nothing removes from it`
		s.mu.Unlock()
	})
	each([]string{"a", "b"}, func(userID string) { s.known[userID]++ }) // want `grows: server.known grows with userID`
	listener, _ := net.Listen("tcp", ":1")
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		s.accept(conn)
		s.mu.Lock()
		s.peers[conn.RemoteAddr().String()] = conn // want `grows: server.peers grows with conn.RemoteAddr\(\).String\(\) and nothing removes from it`
		s.mu.Unlock()
	}
}
