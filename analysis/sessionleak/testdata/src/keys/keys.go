// Package keys has keys that are told by what they are made of, and containers that are told by their names.
package keys

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
)

type grant struct{ userID, tool string }

type registry struct {
	mu       sync.Mutex
	grants   map[grant]bool
	joined   map[string]int
	prefixed map[string]int
	lowered  map[string]int
	trimmed  map[string]int
	chosen   map[string]int
	sessions map[string]any
	byCID    map[string]int
	states   map[string]int
	present  map[string]int
	tones    map[string][]byte
	fields   map[string]int
	probed   map[string]int
	lengths  map[int]int
	buckets  map[int]int
	found    map[string]int
	short    map[string]int
	paths    map[string]int
	masked   map[int]int
	windows  map[uint16]int
	messages map[int]int
}

// ---- reported ----

// One part that comes and goes is enough.
func (r *registry) allow(userID, tool string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.grants[grant{userID, tool}] = true             // want `grows: registry.grants grows with grant`
	r.joined[fmt.Sprintf("%s/%s", tool, userID)] = 1 // want `grows: registry.joined grows with fmt.Sprintf`
	r.prefixed["user:"+userID] = 1                   // want `grows: registry.prefixed grows with "user:"`
	r.lowered[strings.ToLower(userID)+tool] = 1      // want `grows: registry.lowered grows with strings.ToLower`
}

func (r *registry) serve(path, fallback string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sessionID := strings.TrimPrefix(path, "/sessions/")
	r.trimmed[sessionID] = 1 // want `grows: registry.trimmed grows with sessionID`
	userID := ""
	if path != "" {
		userID = fallback
	}
	r.chosen[userID] = 1 // want `grows: registry.chosen grows with userID`
}

func (r *registry) get(key, cID, state, nick string) any {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.sessions[key]
	if !ok {
		v = new(int)
		r.sessions[key] = v // want `grows: registry.sessions grows with key`
	}
	r.byCID[cID] = 1    // want `grows: registry.byCID grows with cID`
	r.states[state] = 1 // want `grows: registry.states grows with state`
	r.present[nick] = 1 // want `grows: registry.present grows with nick`
	return v
}

func vars() map[string]string { return nil }

func (r *registry) path(user string) {
	r.mu.Lock()
	id := vars()["sessionId"]
	r.found[id] = 1       // want `grows: registry.found grows with id`
	r.short[user[:8]] = 1 // want `grows: registry.short grows with user\[:8\]`
	r.paths[vars()["fileName"]] = 1
	r.mu.Unlock()
}

// ---- not reported ----

// The accounts of a configuration.
type User struct{ Username string }

type accounts struct {
	mu     sync.Mutex
	users  map[string]*User
	logins map[string]int
}

func (a *accounts) AddUser(u *User) {
	a.mu.Lock()
	a.users[u.Username] = u
	a.logins[u.Username]++ // want `grows: accounts.logins grows with u.Username`
	a.mu.Unlock()
}

type codec struct {
	Name string
	Rate int
}

// What is put together of fixed parts is fixed, whatever it is called.
func (r *registry) tone(c codec) {
	r.mu.Lock()
	defer r.mu.Unlock()
	uuid := fmt.Sprintf("%s-%d", c.Name, c.Rate)
	r.tones[uuid] = nil
	connID := "conn-" + c.Name
	r.fields[connID] = 1
}

// One of so many.
func (r *registry) bucket(sessionHash int, userID int) {
	r.mu.Lock()
	r.buckets[sessionHash%256]++
	r.masked[userID&0xff]++
	r.mu.Unlock()
}

// What a message has is not as many as the messages; and there are few numbers of 16 bits.
type message struct {
	ID     int
	Length int
	Window uint16
}

func (r *registry) measure(m message, connNumber uint16) {
	r.mu.Lock()
	r.lengths[m.Length]++
	r.windows[connNumber]++
	r.messages[m.ID]++ // want `grows: registry.messages grows with m.ID`
	r.mu.Unlock()
}

// The servers of the configuration.
func (r *registry) probe(serverAddr string) {
	r.mu.Lock()
	r.probed[serverAddr] = 1
	r.mu.Unlock()
}

// The values of one session, by their names.
type values struct {
	mu      sync.Mutex
	state   map[string]any
	session map[string]any
	steps   map[string]*stepState
}

type stepState struct{ n int }

func (v *values) set(key string, value any) {
	v.mu.Lock()
	v.state[key] = value
	v.session[key] = value
	v.steps[key] = &stepState{}
	v.mu.Unlock()
}

// People, and where they talk.
type people struct {
	mu       sync.Mutex
	attempts map[string]int
	mails    map[string]int
	prefixes map[string]int
	cooldown map[string]int
	chosen   map[string]int
	hosts    map[string]int
	waiting  map[chan int]int
	notify   map[string]int
}

func (p *people) note(userName, email, guildID, channelID, hostName, channel string, ch chan int) {
	p.mu.Lock()
	p.attempts[userName]++  // want `grows: people.attempts grows with userName`
	p.mails[email]++        // want `grows: people.mails grows with email`
	p.prefixes[guildID]++   // want `grows: people.prefixes grows with guildID`
	p.cooldown[channelID]++ // want `grows: people.cooldown grows with channelID`
	p.hosts[hostName]++
	p.waiting[ch]++
	p.notify[channel]++
	p.mu.Unlock()
}

func (p *people) serve(r *http.Request) {
	id, file := r.PathValue("session"), r.PathValue("file")
	p.mu.Lock()
	p.chosen[id]++ // want `grows: people.chosen grows with id`
	p.hosts[file]++
	p.mu.Unlock()
}

// What a configuration lists.
type listing struct {
	mu       sync.Mutex
	conf     Config
	dialed   map[string]int
	loaded   map[string]int
	loading  map[string]*loadRequest
	asked    map[string]int
	mixed    map[string]int
	peers    []string
	answered map[string]int
}

type Config struct{ Peers, TitleIDs []string }

type loadRequest struct{}

func (l *listing) Dial() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, peer := range l.conf.Peers {
		l.dialed[peer]++
		l.mix(peer)
	}
}

func (l *listing) Resolve() {
	for _, titleID := range l.conf.TitleIDs {
		l.load(titleID)
	}
}

func (l *listing) load(titleID string) {
	l.mu.Lock()
	l.loading[titleID] = &loadRequest{}
	delete(l.loading, titleID)
	l.loaded[titleID] = 1
	l.mu.Unlock()
}

// Those of a request are others each time, and so are those that are called by.
func (l *listing) Ask(conf Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, peer := range conf.Peers {
		l.asked[peer]++ // want `grows: listing.asked grows with peer`
		l.mix(peer)
	}
	for _, peer := range l.peers {
		l.answered[peer]++ // want `grows: listing.answered grows with peer`
	}
}

func (l *listing) mix(peer string) {
	l.mixed[peer]++ // want `grows: listing.mixed grows with peer`
}

// A connection string is of the configuration, unlike what it connects.
type databases struct {
	mu    sync.Mutex
	pools map[string]int
	conns map[string]int
}

func (d *databases) open(connectionString, connection string) {
	d.mu.Lock()
	d.pools[connectionString]++
	d.conns[connection]++ // want `grows: databases.conns grows with connection`
	d.mu.Unlock()
}
