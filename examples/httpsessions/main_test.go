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
		assert.NoDirExists(t, s.sessions.dir)
	})
	return s, s.handler()
}

func defaults() config {
	return config{Idle: 30 * time.Minute, Lifetime: 8 * time.Hour, RenewGrace: 10 * time.Second, MaxSessions: 100, PerUser: 3}
}

// request sends one request to the handler, without a network in between.
func request(h http.Handler, method, path, id string) *httptest.ResponseRecorder {
	return requestAs(h, "Ada", method, path, id)
}

func requestAs(h http.Handler, user, method, path, id string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader("user="+user))
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
	return loginAs(t, h, "Ada", id)
}

func loginAs(t *testing.T, h http.Handler, user, id string) string {
	t.Helper()
	return newID(t, requestAs(h, user, "POST", "/login", id))
}

// renew returns the id that follows id.
func renew(t *testing.T, h http.Handler, id string) string {
	t.Helper()
	return newID(t, request(h, "POST", "/renew", id))
}

func newID(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	require.Equal(t, http.StatusOK, w.Code)
	cookies := w.Result().Cookies()
	require.Len(t, cookies, 1)
	return cookies[0].Value
}

// status is what the page answers to id.
func status(h http.Handler, id string) int { return request(h, "GET", "/", id).Code }

func journals(t *testing.T, s *server) int {
	t.Helper()
	files, err := os.ReadDir(s.sessions.dir)
	require.NoError(t, err)
	return len(files)
}

func TestVisit(t *testing.T) {
	_, h := start(t, defaults())
	server := httptest.NewServer(h)
	defer server.Close()
	var out strings.Builder
	require.NoError(t, visit(t.Context(), &out, server.URL))
	assert.Equal(t, `laptop  GET  /                   401 please log in
laptop  POST /login              200 welcome, Ada
laptop  GET  /                   200 hello, Ada, this is visit 1
laptop  POST /renew              200 a new id for Ada
laptop  GET  /                   200 hello, Ada, this is visit 2
phone   POST /login              200 welcome, Ada
phone   GET  /                   200 hello, Ada, this is visit 1
phone   POST /logout-everywhere  200 goodbye, Ada, from 2 sessions
laptop  GET  /                   401 please log in
laptop  POST /login              200 welcome, Ada
laptop  POST /logout             200 goodbye
laptop  GET  /                   401 please log in
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

func TestLoginWithoutAUser(t *testing.T) {
	s, h := start(t, defaults())
	assert.Equal(t, http.StatusBadRequest, requestAs(h, "", "POST", "/login", "").Code)
	assert.Zero(t, s.sessions.Len())
}

func TestRequestKeepsItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := start(t, defaults())
		id := login(t, h, "")
		slow := s.leased(func(_ http.ResponseWriter, _ *http.Request, v visitor) {
			time.Sleep(24 * time.Hour) // past the idle timeout and the lifetime
			n, err := s.sessions.visit(v.Key())
			assert.NoError(t, err)
			assert.Equal(t, 1, n)
		})
		assert.Equal(t, http.StatusOK, request(slow, "GET", "/", id).Code)
		assert.Equal(t, http.StatusUnauthorized, status(h, id), "its lifetime was over, and nobody holds it any more")
	})
}

func TestLogoutUnderARequest(t *testing.T) {
	s, h := start(t, defaults())
	id := login(t, h, "")
	slow := s.leased(func(_ http.ResponseWriter, _ *http.Request, v visitor) {
		assert.Equal(t, http.StatusOK, request(h, "POST", "/logout", id).Code)
		<-v.Done()
		_, err := s.sessions.visit(v.Key())
		assert.ErrorIs(t, err, os.ErrClosed)
		assert.False(t, s.sessions.visits.Set(v.Key(), 1), "logged out stays logged out")
	})
	request(slow, "GET", "/", id)
	assert.Equal(t, http.StatusUnauthorized, status(h, id))
	assert.Zero(t, journals(t, s))
}

func TestRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := start(t, defaults())
		before := login(t, h, "")
		require.Equal(t, http.StatusOK, status(h, before))
		id := renew(t, h, before)
		assert.NotEqual(t, before, id)
		assert.Contains(t, request(h, "GET", "/", id).Body.String(), "visit 2", "the same session")
		assert.Contains(t, request(h, "GET", "/", before).Body.String(), "visit 3", "for requests under way")
		assert.Equal(t, http.StatusConflict, request(h, "POST", "/renew", before).Code, "there is one way on from an id")

		time.Sleep(defaults().RenewGrace)
		assert.Equal(t, http.StatusUnauthorized, status(h, before))
		assert.Equal(t, http.StatusOK, status(h, id))
		assert.Equal(t, 1, journals(t, s))
	})
}

func TestRenewDoesNotProlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := start(t, defaults())
		id := login(t, h, "")
		for range 8*60/20 - 1 {
			time.Sleep(20 * time.Minute)
			id = renew(t, h, id)
		}
		time.Sleep(20 * time.Minute)
		assert.Equal(t, http.StatusUnauthorized, status(h, id))
	})
}

func TestLogoutWithTheIDBefore(t *testing.T) {
	s, h := start(t, defaults())
	before := login(t, h, "")
	id := renew(t, h, before)
	request(h, "POST", "/logout", before)
	assert.Equal(t, http.StatusUnauthorized, status(h, id))
	assert.Zero(t, journals(t, s))
}

func TestUserHasSoManySessions(t *testing.T) {
	c := defaults()
	c.PerUser = 2
	s, h := start(t, c)
	other := loginAs(t, h, "Grace", "")
	first, second := login(t, h, ""), login(t, h, "")
	third := login(t, h, "")
	assert.Equal(t, http.StatusUnauthorized, status(h, first), "the user's oldest")
	for _, id := range []string{second, third, other} {
		assert.Equal(t, http.StatusOK, status(h, id))
	}
	assert.Equal(t, 3, journals(t, s))

	again := login(t, h, third)
	assert.Equal(t, http.StatusOK, status(h, second), "the session this browser had gave way, though not the oldest")
	assert.Equal(t, http.StatusOK, status(h, again))
}

func TestSessionsInUseDoNotGiveWay(t *testing.T) {
	c := defaults()
	c.PerUser = 1
	s, h := start(t, c)
	id := login(t, h, "")
	slow := s.leased(func(http.ResponseWriter, *http.Request, visitor) {
		assert.Equal(t, http.StatusServiceUnavailable, request(h, "POST", "/login", "").Code)
	})
	assert.Equal(t, http.StatusOK, request(slow, "GET", "/", id).Code)
	assert.Equal(t, http.StatusOK, status(h, id))
	assert.Equal(t, 1, journals(t, s), "what was refused has left nothing")
	assert.Equal(t, 1, s.sessions.Len())
}

func TestLogoutEverywhere(t *testing.T) {
	s, h := start(t, defaults())
	laptop, phone := login(t, h, ""), login(t, h, "")
	other := loginAs(t, h, "Grace", "")
	w := request(h, "POST", "/logout-everywhere", phone)
	assert.Equal(t, "goodbye, Ada, from 2 sessions\n", w.Body.String())
	assert.Equal(t, -1, w.Result().Cookies()[0].MaxAge)
	assert.Equal(t, http.StatusUnauthorized, status(h, laptop))
	assert.Equal(t, http.StatusUnauthorized, status(h, phone))
	assert.Equal(t, http.StatusOK, status(h, other))
	assert.Equal(t, http.StatusUnauthorized, request(h, "POST", "/logout-everywhere", phone).Code)
	assert.Equal(t, 1, journals(t, s))
}

func TestMadeUpIDsLeaveNoTombstones(t *testing.T) {
	s, h := start(t, defaults())
	request(h, "POST", "/logout", "made-up")
	assert.True(t, s.sessions.visits.Set("made-up", 1))
}

func TestPerUserLimitOfNothing(t *testing.T) {
	c := defaults()
	c.PerUser = 0
	_, err := newServer(c)
	assert.ErrorContains(t, err, "0 sessions for each user")
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
