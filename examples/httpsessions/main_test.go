package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// start makes a server that is closed at the end of the test or bubble, when it must have left nothing.
func start(t *testing.T, c config) (*server, http.Handler) {
	t.Helper()
	s, err := newServer(c)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, s.close())
		assert.NoDirExists(t, s.dir)
	})
	return s, s.handler()
}

func defaults() config {
	return config{Idle: 30 * time.Minute, Lifetime: 8 * time.Hour, MaxSessions: 100}
}

// request sends one request to the handler, without a network in between.
func request(h http.Handler, method, path, id string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader("user=Ada"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id != "" {
		r.AddCookie(&http.Cookie{Name: cookieName, Value: id})
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// login returns the id of a new session. The browser has that of another one, if id is not empty.
func login(t *testing.T, h http.Handler, id string) string {
	t.Helper()
	w := request(h, "POST", "/login", id)
	require.Equal(t, http.StatusOK, w.Code)
	cookies := w.Result().Cookies()
	require.Len(t, cookies, 1)
	return cookies[0].Value
}

func journals(t *testing.T, s *server) int {
	t.Helper()
	files, err := os.ReadDir(s.dir)
	require.NoError(t, err)
	return len(files)
}

func TestVisit(t *testing.T) {
	_, h := start(t, defaults())
	server := httptest.NewServer(h)
	defer server.Close()
	var out strings.Builder
	require.NoError(t, visit(t.Context(), &out, server.URL))
	assert.Equal(t, `GET  /        401 please log in
POST /login   200 welcome, Ada
GET  /        200 hello, Ada, this is visit 1
GET  /        200 hello, Ada, this is visit 2
POST /logout  200 goodbye
GET  /        401 please log in
`, out.String())
}

func TestCookie(t *testing.T) {
	for _, secure := range []bool{false, true} {
		c := defaults()
		c.SecureCookie = secure
		_, h := start(t, c)
		cookie := request(h, "POST", "/login", "").Result().Cookies()[0]
		assert.Equal(t, secure, cookie.Secure)
		assert.True(t, cookie.HttpOnly)
		assert.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
		assert.Zero(t, cookie.MaxAge)
		assert.Equal(t, -1, request(h, "POST", "/logout", cookie.Value).Result().Cookies()[0].MaxAge)
	}
}

func TestLoginTakesAFreshID(t *testing.T) {
	s, h := start(t, defaults())
	first := login(t, h, "planted")
	assert.NotEqual(t, "planted", first)
	assert.Equal(t, http.StatusUnauthorized, request(h, "GET", "/", "planted").Code)

	second := login(t, h, first)
	assert.NotEqual(t, first, second)
	assert.Equal(t, http.StatusUnauthorized, request(h, "GET", "/", first).Code, "the session before has ended")
	assert.Equal(t, http.StatusOK, request(h, "GET", "/", second).Code)
	assert.Equal(t, 1, journals(t, s))
}

func TestForeignPageCannotLogOut(t *testing.T) {
	_, h := start(t, defaults())
	id := login(t, h, "")
	r := httptest.NewRequest("POST", "/logout", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.AddCookie(&http.Cookie{Name: cookieName, Value: id})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	assert.Equal(t, http.StatusForbidden, w.Code)
	assert.Equal(t, http.StatusOK, request(h, "GET", "/", id).Code)
}

func TestFullServerForgetsTheOldest(t *testing.T) {
	c := defaults()
	c.MaxSessions = 2
	s, h := start(t, c)
	a, b := login(t, h, ""), login(t, h, "")
	request(h, "GET", "/", a)
	login(t, h, "")
	assert.Equal(t, http.StatusUnauthorized, request(h, "GET", "/", b).Code)
	assert.Equal(t, http.StatusOK, request(h, "GET", "/", a).Code)
	assert.Equal(t, 2, journals(t, s), "the journal has gone with the session")
}

func TestSessionReleasedUnderAHandler(t *testing.T) {
	s, h := start(t, defaults())
	id := login(t, h, "")
	found, ok := s.sessions.Get(id)
	require.True(t, ok)
	s.sessions.Delete(id)
	_, err := found.visit()
	assert.ErrorIs(t, err, os.ErrClosed)
}

func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := start(t, defaults())
		id := login(t, h, "")
		for range 5 {
			time.Sleep(29 * time.Minute)
			assert.Equal(t, http.StatusOK, request(h, "GET", "/", id).Code, "each visit starts the timeout anew")
		}
		time.Sleep(30 * time.Minute)
		assert.Equal(t, http.StatusUnauthorized, request(h, "GET", "/", id).Code)

		time.Sleep(time.Minute) // by now a sweep has come by
		synctest.Wait()
		assert.Zero(t, journals(t, s))
	})
}

func TestLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := start(t, defaults())
		id := login(t, h, "")
		for range 8*60/20 - 1 {
			time.Sleep(20 * time.Minute)
			require.Equal(t, http.StatusOK, request(h, "GET", "/", id).Code)
		}
		time.Sleep(20 * time.Minute)
		assert.Equal(t, http.StatusUnauthorized, request(h, "GET", "/", id).Code, "busy all the time, and at its end")

		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Zero(t, journals(t, s))
	})
}

func TestCloseReleases(t *testing.T) {
	s, h := start(t, defaults())
	id := login(t, h, "")
	assert.Equal(t, 1, journals(t, s))
	require.NoError(t, s.sessions.Close())
	assert.Zero(t, journals(t, s))
	assert.Equal(t, http.StatusUnauthorized, request(h, "GET", "/", id).Code)
	assert.Equal(t, http.StatusServiceUnavailable, request(h, "POST", "/login", "").Code)
	assert.Zero(t, journals(t, s))
}

func TestServeEndsWithItsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, interrupt := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, defaults(), listener) }()
	require.NoError(t, visit(ctx, t.Output(), "http://"+listener.Addr().String()))
	interrupt()
	require.NoError(t, <-served)
}
