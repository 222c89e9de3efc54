// Package closures has maps in local variables that handlers hold on to.
package closures

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// ---- reported ----

func Limit(next http.Handler) http.Handler {
	var mu sync.Mutex
	clients := make(map[string]int)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		clients[r.RemoteAddr]++ // want `grows: Limit.clients grows with r.RemoteAddr and nothing removes from it`
		mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func LimitGin() gin.HandlerFunc {
	var clients sync.Map
	return func(c *gin.Context) {
		clients.Store(c.ClientIP(), time.Now()) // want `grows: LimitGin.clients grows with c.ClientIP\(\) and nothing removes from it`
	}
}

// ---- not reported ----

type client struct{ last time.Time }

// The middleware of many articles, as it should be.
func Swept(next http.Handler) http.Handler {
	var mu sync.Mutex
	clients := make(map[string]*client)
	go func() {
		for range time.Tick(time.Minute) {
			mu.Lock()
			for ip, c := range clients {
				if time.Since(c.last) > time.Hour {
					delete(clients, ip)
				}
			}
			mu.Unlock()
		}
	}()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		clients[r.RemoteAddr] = &client{last: time.Now()}
		mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// Emptied by an assignment.
func Reset(next http.Handler) http.Handler {
	clients := make(map[string]int)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if clients[r.RemoteAddr]++; clients[r.RemoteAddr] > 100 {
			clients = make(map[string]int)
		}
		next.ServeHTTP(w, r)
	})
}

// Of one request.
func Each(w http.ResponseWriter, r *http.Request) {
	seen := make(map[string]bool)
	slices.All([]string{})(func(_ int, userID string) bool {
		seen[userID] = true
		return true
	})
	wrap(w, r)
}

// Made for each request.
func wrap(w http.ResponseWriter, r *http.Request) { counted().ServeHTTP(w, r) }

func counted() http.Handler {
	users := make(map[string]int)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		users[r.FormValue("user")]++
		inner := make(map[string]int)
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { inner[r.RemoteAddr]++ }).ServeHTTP(w, r)
	})
}

// An iterator's.
func Unique(userIDs []string) func(yield func(string) bool) {
	seen := make(map[string]bool)
	return func(yield func(string) bool) {
		for _, userID := range userIDs {
			seen[userID] = true
		}
	}
}
