package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log"
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
	MaxSessions  int
	SecureCookie bool
}

// A server holds the sessions. Only a login makes one, so that those who never log in cannot push out
// those who have.
type server struct {
	sessions     *sessionmap.RobustSessionMap[string, *session]
	secureCookie bool
	dir          string // of the journals
}

func newServer(c config) (*server, error) {
	dir, err := os.MkdirTemp("", "httpsessions-")
	if err != nil {
		return nil, err
	}
	sessions, err := sessionmap.New[string, *session](
		sessionmap.WithName("http"),
		sessionmap.WithTTL(c.Idle),
		sessionmap.WithMaxLifetime(c.Lifetime),
		sessionmap.WithMaxSize(c.MaxSessions),
		// The id is a secret: the log gets the user.
		sessionmap.WithOnRemove(func(_ string, s *session, cause sessionmap.Cause) {
			if err := s.release(); err != nil {
				log.Printf("session of %s: %v", s.user, err)
			}
		}),
	)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	return &server{sessions, c.SecureCookie, dir}, nil
}

// close ends all sessions, and releases what they own.
func (s *server) close() error {
	return errors.Join(s.sessions.Close(), os.Remove(s.dir))
}

// handler returns the routes. What changes something is a POST, and refused when another site's page has
// made the browser send it.
func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("POST /logout", s.logout)
	mux.HandleFunc("GET /{$}", s.page)
	return http.MaxBytesHandler(http.NewCrossOriginProtection().Handler(mux), maxBodySize)
}

// login begins a session. Its id is always a fresh one: an id that came with the request, which somebody
// else may have planted there, never becomes that of a session.
func (s *server) login(w http.ResponseWriter, r *http.Request) {
	user := r.PostFormValue("user")
	if user == "" { // here the password would be checked
		http.Error(w, "who are you?", http.StatusBadRequest)
		return
	}
	began, err := newSession(user, s.dir)
	if err != nil {
		http.Error(w, "no session to be had", http.StatusInternalServerError)
		return
	}
	id := rand.Text()
	if !s.sessions.Set(id, began) { // the map is closed, and has released it
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
		return
	}
	s.sessions.Delete(idOf(r)) // the session before, if there is one
	http.SetCookie(w, s.cookie(id))
	reply(w, "welcome, %s", user)
}

// logout ends the session, whether or not there still is one.
func (s *server) logout(w http.ResponseWriter, r *http.Request) {
	s.sessions.Delete(idOf(r))
	gone := s.cookie("")
	gone.MaxAge = -1
	http.SetCookie(w, gone)
	reply(w, "goodbye")
}

// page is for those who are logged in. The Get is what keeps their session from idling out.
func (s *server) page(w http.ResponseWriter, r *http.Request) {
	if found, ok := s.sessions.Get(idOf(r)); ok {
		n, err := found.visit()
		if err == nil {
			reply(w, "hello, %s, this is visit %d", found.user, n)
			return
		}
		if !errors.Is(err, os.ErrClosed) {
			http.Error(w, "the journal is full", http.StatusInternalServerError)
			return
		}
	}
	http.Error(w, "please log in", http.StatusUnauthorized)
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

// idOf returns the id that came with the request; "" is that of no session.
func idOf(r *http.Request) string {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	return c.Value
}

func reply(w http.ResponseWriter, format string, args ...any) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	fmt.Fprintf(w, format+"\n", args...)
}
