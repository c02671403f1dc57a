// Command served is a small service with net/http/pprof. It keeps a map in memory and changes it when it is told to, by
// lines on standard input: "grow N" puts N more entries into it, "churn N" makes and forgets a map of N entries.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

// Every allocation is recorded. Any other rate would hold from the next sample of each P on only, and the first one of a P
// comes after 512 KB on average (nextSample of runtime/malloc.go): the arrays of a map may be allocated before it.
func init() { runtime.MemProfileRate = 1 }

type store struct {
	mu      sync.Mutex
	entries map[uint64][4]uint64
}

//go:noinline
func (s *store) grow(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 0; i < n; i++ {
		s.entries[uint64(len(s.entries))] = [4]uint64{}
	}
}

//go:noinline
func churn(n int) int {
	short := map[uint64]uint64{}
	for i := 0; i < n; i++ {
		short[uint64(i)] = 1
	}
	return len(short)
}

func main() {
	debug.SetGCPercent(-1) // only the collections below: no profile shows the middle of a growth
	kept := &store{entries: map[uint64][4]uint64{}}
	kept.grow(1000)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(listener, nil)
	json.NewEncoder(os.Stdout).Encode(map[string]any{"address": listener.Addr().String(), "pid": os.Getpid()})
	fmt.Println("READY")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		var n int
		fmt.Sscan(rest, &n)
		switch word {
		case "grow":
			kept.grow(n)
		case "churn":
			churn(n)
		}
		runtime.GC() // it publishes the profile of what it has seen before it returns (mProf_PostSweep), once
		fmt.Println(len(kept.entries))
	}
}
