package main

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Session is what a login leaves behind.
type Session struct {
	User    uint64
	Started time.Time
	Seen    time.Time
}

// Presence is where a user was seen last. It lies in the map by value.
type Presence struct {
	Seen     int64
	Room     [48]byte
	Lat, Lon float64
}

// Service holds everything in maps under one lock, as small services do.
type Service struct {
	mu sync.RWMutex

	sessions map[string]*Session  // filled in the morning, only read afterwards
	presence map[uint64]Presence  // purged every night
	devices  map[string]int       // logins by device, the first 16 bytes of the cookie
	features map[uint64]bool      // made for a million accounts, a few hundred use it
	recent   map[uint64]uint64    // last request of the latest accounts: a window that moves on
	rooms    map[string]*struct{} // healthy: a few names

	oldest, newest uint64 // of recent
}

func newService() *Service {
	service := &Service{
		sessions: map[string]*Session{},
		presence: map[uint64]Presence{},
		devices:  map[string]int{},
		features: make(map[uint64]bool, 1_000_000),
		recent:   map[uint64]uint64{},
		rooms:    map[string]*struct{}{},
	}
	for _, name := range []string{"lobby", "library", "kitchen", "garden"} {
		service.rooms[name] = &struct{}{}
	}
	return service
}

func (s *Service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/login", s.login)
	mux.HandleFunc("/session", s.session)
	mux.HandleFunc("/seen", s.seen)
	mux.HandleFunc("/purge", s.purge)
	mux.HandleFunc("/health", s.health)
	return mux
}

func (s *Service) login(w http.ResponseWriter, r *http.Request) {
	user, _ := strconv.ParseUint(r.Header.Get("X-User"), 10, 64)
	cookie := r.Header.Get("Cookie")
	if len(cookie) < 16 {
		http.Error(w, "no cookie", http.StatusBadRequest)
		return
	}
	token := "session-" + strconv.FormatUint(user*0x9e3779b97f4a7c15, 36)
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[token] = &Session{User: user, Started: now, Seen: now}
	if user%8 == 0 {
		s.devices[cookie[:16]]++ // the key is a window of the whole cookie
	}
	if user%256 == 0 {
		s.features[user] = true
	}
	w.Header().Set("X-Token", token)
}

func (s *Service) session(w http.ResponseWriter, r *http.Request) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.sessions[r.Header.Get("X-Token")] == nil {
		http.Error(w, "log in first", http.StatusUnauthorized)
	}
}

func (s *Service) seen(w http.ResponseWriter, r *http.Request) {
	user, _ := strconv.ParseUint(r.Header.Get("X-User"), 10, 64)
	now := time.Now().UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.presence[user] = Presence{Seen: now}
	s.recent[s.newest] = user
	s.newest++
	for len(s.recent) > 30_000 {
		delete(s.recent, s.oldest)
		s.oldest++
	}
}

// purge forgets everybody but one in a hundred.
func (s *Service) purge(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for user := range s.presence {
		if user%100 != 0 {
			delete(s.presence, user)
		}
	}
}

func (s *Service) health(w http.ResponseWriter, r *http.Request) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	fmt.Fprintf(w, "sessions %d, presence %d, devices %d, features %d, recent %d\n",
		len(s.sessions), len(s.presence), len(s.devices), len(s.features), len(s.recent))
}
