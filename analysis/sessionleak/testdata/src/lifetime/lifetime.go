// Package lifetime has containers whose structs do not say themselves how long they live.
package lifetime

import (
	"net"
	"sync"
)

// ---- reported ----

// A part of a struct with a lock.
type table struct{ rows map[string]int }

func (t *table) inc(userID string) {
	t.rows[userID]++ // want `grows: table.rows grows with userID and nothing removes from it`
}

type server struct {
	mu    sync.Mutex
	table table
}

func newServer() *server { return &server{table: table{rows: make(map[string]int)}} }

func (s *server) Serve(userID string) {
	s.mu.Lock()
	s.table.inc(userID)
	s.mu.Unlock()
}

// A part of a part of a package variable without a lock.
type leaf struct{ hits map[string]int }

type branch struct{ leaf leaf }

type tree struct{ branch branch }

var oak tree

func Hit(userID string) {
	oak.branch.leaf.hits[userID]++ // want `grows: leaf.hits grows with userID and nothing removes from it`
}

// As many maps as locks.
type sharded struct {
	mu     [8]sync.Mutex
	shards [8]map[string]int
	resets [8]map[string]int
}

func newSharded() *sharded {
	s := new(sharded)
	for i := range s.shards {
		s.shards[i] = make(map[string]int)
	}
	return s
}

func (s *sharded) Hit(userID string) {
	i := len(userID) % 8
	s.mu[i].Lock()
	defer s.mu[i].Unlock()
	s.shards[i][userID]++ // want `grows: sharded.shards\[…\] grows with userID and nothing removes from it`
	s.resets[i][userID]++
}

// ---- not reported ----

func (s *sharded) Reset(i int) {
	s.mu[i].Lock()
	s.resets[i] = make(map[string]int)
	s.mu[i].Unlock()
}

// A part of a struct with a lock, and of one without.
type counts struct{ users map[string]int }

type shared struct {
	mu     sync.Mutex
	counts counts
}

type report struct{ counts counts }

func (r *report) count(userID string) { r.counts.users[userID]++ }

func (s *shared) count() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.users = nil
}

// A part that is also made on its own.
type tally struct{ users map[string]int }

type keeper struct {
	mu    sync.Mutex
	tally tally
}

func Tally(userIDs []string) int {
	t := tally{users: make(map[string]int)}
	for _, userID := range userIDs {
		t.users[userID]++
	}
	return len(t.users)
}

// A part of what leaves another map.
type seats struct{ taken map[string]bool }

type room struct {
	mu    sync.Mutex
	seats seats
}

type house struct {
	mu    sync.Mutex
	rooms map[string]*room
}

func (h *house) Sit(roomID, userID string) {
	h.mu.Lock()
	h.rooms[roomID].seats.taken[userID] = true
	h.mu.Unlock()
}

func (h *house) Close(roomID string) {
	h.mu.Lock()
	delete(h.rooms, roomID)
	h.mu.Unlock()
}

// A part of what a function makes for itself, whenever it is called.
type page struct{ users map[string]int }

type job struct {
	group sync.WaitGroup
	page  page
}

func Render(userID string) {
	j := &job{page: page{users: make(map[string]int)}}
	j.page.users[userID]++
	j.group.Wait()
}

// It goes on if a function knows of it.
type feed struct{ users map[string]int }

type source struct {
	mu   sync.Mutex
	feed feed
}

func Feed() (next func(userID string)) {
	s := &source{feed: feed{users: make(map[string]int)}}
	return func(userID string) {
		s.mu.Lock()
		s.feed.users[userID]++ // want `grows: feed.users grows with userID and nothing removes from it`
		s.mu.Unlock()
	}
}

// What is made for a connection ends with it.
type talk struct {
	mu      sync.Mutex
	streams map[string]int
}

func newTalk(net.Conn) *talk { return &talk{streams: make(map[string]int)} }

func (t *talk) read(streamID string) {
	t.mu.Lock()
	t.streams[streamID]++
	t.mu.Unlock()
}

func Listen(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go serve(conn)
	}
}

func serve(conn net.Conn) {
	t := newTalk(conn)
	t.read(conn.RemoteAddr().String())
}

// ---- reported ----

// One that is kept goes on, and so does one that is also made otherwise.
type kept struct {
	mu      sync.Mutex
	streams map[string]int
}

type made struct {
	mu      sync.Mutex
	streams map[string]int
}

var last *kept

func Keep(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		last = &kept{streams: make(map[string]int)}
		m := &made{streams: make(map[string]int)}
		last.read(conn.RemoteAddr().String())
		m.read(conn.RemoteAddr().String())
	}
}

func (k *kept) read(streamID string) {
	k.mu.Lock()
	k.streams[streamID]++ // want `grows: kept.streams grows with streamID and nothing removes from it`
	k.mu.Unlock()
}

func newMade() *made { return &made{streams: make(map[string]int)} }

func Make(streamIDs chan string) {
	m := newMade()
	for streamID := range streamIDs {
		m.read(streamID)
	}
}

func (m *made) read(streamID string) {
	m.mu.Lock()
	m.streams[streamID]++ // want `grows: made.streams grows with streamID and nothing removes from it`
	m.mu.Unlock()
}
