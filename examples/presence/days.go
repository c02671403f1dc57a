package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strconv"
)

// replay plays one day against the handlers: each day more people come, and at night nearly all of them are gone.
func replay(s *server, day int) {
	peak := 60_000 * day
	for user := 0; user < peak; user++ {
		call(s.seen, "X-User", strconv.Itoa(user), "X-Minute", strconv.Itoa(day*1440+user%720), "X-Room", "lobby")
	}
	call(s.expire, "X-Minute", strconv.Itoa(day*1440+716))
	fmt.Printf("day %d  %7d people at noon  %5d at night  %4d MB resident\n", day, peak, len(s.online), resident()>>20)
}

func call(handler http.HandlerFunc, headers ...string) {
	request := &http.Request{Header: http.Header{}}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	handler(nil, request)
}

// resident is the memory of this process that is in RAM, as the graph of every monitoring shows it.
func resident() int {
	status, _ := os.ReadFile("/proc/self/status")
	_, after, _ := bytes.Cut(status, []byte("VmRSS:"))
	line, _, _ := bytes.Cut(after, []byte(" kB"))
	kilobytes, _ := strconv.Atoi(string(bytes.TrimSpace(line)))
	return kilobytes << 10
}
