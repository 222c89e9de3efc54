package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/sessionmap/sessionmap"
)

const (
	cookieName  = "session"
	maxBodySize = 4 << 10 // a login form is short
)

type config struct {
	Idle         time.Duration
	Lifetime     time.Duration
	RenewGrace   time.Duration // for requests that are under way with the id before
	MaxSessions  int
	PerUser      int // sessions of one user
	SecureCookie bool
}

// A server holds the sessions. Only a login makes one, so that those who never log in cannot push out
// those who have.
type server struct {
	sessions     *sessions
	secureCookie bool
}

func newServer(c config) (*server, error) {
	dir, err := os.MkdirTemp("", "httpsessions-")
	if err != nil {
		return nil, err
	}
	all, err := newSessions(c, dir)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	return &server{all, c.SecureCookie}, nil
}

// close ends all sessions, and releases what they own.
func (s *server) close() error {
	return errors.Join(s.sessions.Close(), os.Remove(s.sessions.dir))
}

// handler returns the routes. What changes something is a POST, and refused when another site's page has
// made the browser send it.
func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("POST /logout", s.logout)
	mux.HandleFunc("POST /logout-everywhere", s.leased(s.logoutEverywhere))
	mux.HandleFunc("POST /renew", s.leased(s.renew))
	mux.HandleFunc("GET /{$}", s.leased(s.page))
	return http.MaxBytesHandler(http.NewCrossOriginProtection().Handler(mux), maxBodySize)
}

// A visitor is somebody who is logged in.
type visitor struct {
	*lease
	user string
}

// leased makes a handler for those who are logged in. Their session is leased for as long as the request runs, so
// that no timeout and no other login takes the journal away meanwhile. A logout does: then the lease's Done is
// closed.
func (s *server) leased(handle func(http.ResponseWriter, *http.Request, visitor)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if in, ok := s.sessions.Acquire(idOf(r)); ok {
			defer in.Release()
			if user, ok := s.sessions.users.Get(in.Key()); ok {
				handle(w, r, visitor{in, user})
				return
			}
		}
		pleaseLogIn(w)
	}
}

// login begins a session. Its id is always a fresh one: an id that came with the request, which somebody
// else may have planted there, never becomes that of a session. This browser's session before, if there is one,
// ends first: its place is free then, and the user's oldest need not give way.
func (s *server) login(w http.ResponseWriter, r *http.Request) {
	user := r.PostFormValue("user")
	if user == "" { // here the password would be checked
		http.Error(w, "who are you?", http.StatusBadRequest)
		return
	}
	s.sessions.end(idOf(r))
	id, err := s.sessions.begin(user)
	switch {
	case errors.Is(err, sessionmap.ErrRefused): // shutting down, or all that could give way are leased
		http.Error(w, "no session to be had now", http.StatusServiceUnavailable)
	case err != nil:
		http.Error(w, "no session to be had", http.StatusInternalServerError)
	default:
		http.SetCookie(w, s.cookie(id))
		reply(w, "welcome, %s", user)
	}
}

// logout ends the session, whether or not there still is one.
func (s *server) logout(w http.ResponseWriter, r *http.Request) {
	s.sessions.end(idOf(r))
	http.SetCookie(w, s.noCookie())
	reply(w, "goodbye")
}

// logoutEverywhere ends all sessions of the user, this one among them.
func (s *server) logoutEverywhere(w http.ResponseWriter, _ *http.Request, v visitor) {
	ended := s.sessions.byUser.DeleteBy(v.user)
	http.SetCookie(w, s.noCookie())
	reply(w, "goodbye, %s, from %d sessions", v.user, ended)
}

// renew gives the session another id, as is due after every change of rights: who knows the id before has none of
// the new ones. For that reason an id in its time of grace, good enough to read by, is not renewed again.
func (s *server) renew(w http.ResponseWriter, r *http.Request, v visitor) {
	id := rand.Text()
	if s.sessions.Rename(idOf(r), id) != nil {
		http.Error(w, "this id has had its day", http.StatusConflict)
		return
	}
	http.SetCookie(w, s.cookie(id))
	reply(w, "a new id for %s", v.user)
}

// page counts visits. It asks the lease for the id: the one that came with the request may have been renewed since.
func (s *server) page(w http.ResponseWriter, _ *http.Request, v visitor) {
	n, err := s.sessions.visit(v.Key())
	switch {
	case errors.Is(err, os.ErrClosed): // logged out while this ran
		pleaseLogIn(w)
	case err != nil:
		http.Error(w, "the journal is full", http.StatusInternalServerError)
	default:
		reply(w, "hello, %s, this is visit %d", v.user, n)
	}
}

// cookie carries id. It has no expiry: the server knows how long a session lives.
func (s *server) cookie(id string) *http.Cookie {
	return &http.Cookie{
		Name:     cookieName,
		Value:    id,
		Path:     "/",
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
		Secure:   s.secureCookie,
	}
}

// noCookie has the browser forget it.
func (s *server) noCookie() *http.Cookie {
	gone := s.cookie("")
	gone.MaxAge = -1
	return gone
}

// idOf returns the id that came with the request; "" is that of no session.
func idOf(r *http.Request) string {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	return c.Value
}

func pleaseLogIn(w http.ResponseWriter) { http.Error(w, "please log in", http.StatusUnauthorized) }

func reply(w http.ResponseWriter, format string, args ...any) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	fmt.Fprintf(w, format+"\n", args...)
}
