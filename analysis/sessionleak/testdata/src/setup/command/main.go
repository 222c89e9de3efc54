// Command command has what main makes, and what comes to it.
package main

import (
	"bufio"
	"net"
	"os"
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
	lines map[string]int
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
	s.users[u.ID] = u
	s.mu.Unlock()
}

// ---- reported ----

func (s *server) count(clientID string) {
	s.lines[clientID]++ // want `grows: server.lines grows with clientID and nothing removes from it`
}

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
	for scanner := bufio.NewScanner(os.Stdin); scanner.Scan(); {
		s.count(scanner.Text())
	}
	route("/note", func(userID string) {
		s.mu.Lock()
		s.noted[userID]++ // want `grows: server.noted grows with userID and nothing removes from it`
		s.mu.Unlock()
	})
	each([]string{"a", "b"}, func(userID string) { s.known[userID]++ })
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
