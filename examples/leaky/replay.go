package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// replay plays a day of traffic against the handlers, without the network in between.
type replay struct {
	handler http.Handler
	scale   float64
}

// silent is a ResponseWriter that keeps the headers and drops the rest.
type silent struct{ header http.Header }

func (s silent) Header() http.Header         { return s.header }
func (s silent) Write(b []byte) (int, error) { return len(b), nil }
func (s silent) WriteHeader(int)             {}

func (d replay) count(of int) uint64 { return uint64(float64(of) * d.scale) }

func (d replay) request(path string, headers map[string]string) http.Header {
	request, err := http.NewRequest(http.MethodPost, path, nil)
	if err != nil {
		panic(err)
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	writer := silent{http.Header{}}
	d.handler.ServeHTTP(writer, request)
	return writer.header
}

// morning: everybody logs in. 108,500 sessions are a few more than 6.5 for each of 2^14 buckets, so a classic map has
// just begun to grow when the wave ends.
func (d replay) morning() {
	tracking := strings.Repeat("tracking=0123456789abcdef;", 80)
	for user := uint64(0); user < d.count(108_500); user++ {
		d.request("/login", map[string]string{
			"X-User": strconv.FormatUint(user, 10),
			"Cookie": fmt.Sprintf("device=%09d;%s", user, tracking),
		})
	}
}

// noon: people move about and use their sessions; nobody logs in.
func (d replay) noon() {
	for user := uint64(0); user < d.count(300_000); user++ {
		d.request("/seen", map[string]string{"X-User": strconv.FormatUint(user, 10)})
	}
	for user := uint64(0); user < d.count(20_000); user++ {
		d.request("/session", map[string]string{"X-Token": "session-" + strconv.FormatUint(user*0x9e3779b97f4a7c15, 36)})
	}
}

// night: a purge.
func (d replay) night() { d.request("/purge", nil) }
