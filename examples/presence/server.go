package main

import (
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
)

// visit is where a user was seen last.
type visit struct {
	minute int64
	room   [40]byte
}

type server struct {
	mu     sync.Mutex
	online map[uint64]visit // by user
}

// seen is called by every client once a minute.
func (s *server) seen(w http.ResponseWriter, r *http.Request) {
	user, _ := strconv.ParseUint(r.Header.Get("X-User"), 10, 64)
	minute, _ := strconv.ParseInt(r.Header.Get("X-Minute"), 10, 64)
	s.mu.Lock()
	defer s.mu.Unlock()
	v := visit{minute: minute}
	copy(v.room[:], r.Header.Get("X-Room"))
	s.online[user] = v
}

// expire forgets who was not seen for a while, and gives memory that is free back to the system.
func (s *server) expire(w http.ResponseWriter, r *http.Request) {
	before, _ := strconv.ParseInt(r.Header.Get("X-Minute"), 10, 64)
	s.mu.Lock()
	defer s.mu.Unlock()
	for user, v := range s.online {
		if v.minute < before {
			delete(s.online, user)
		}
	}
	debug.FreeOSMemory()
}
