// Command cgo holds maps while C code is at work beside it: memory that only C knows, goroutines that are blocked inside C
// and in Go that C has called, threads that C has made, one of them in a signal handler with a stack of its own.
package main

/*
#include "code.h"
*/
import "C"

import (
	"runtime"
	"strconv"
	"time"
	"unsafe"

	"truth/probe"
)

// cBytes is what C holds.
const cBytes = 48 << 20

type rec struct {
	name string
	next *rec
}

type session struct {
	id   int
	open map[string]*rec
}

var (
	words   map[string]int
	current *session
	sizes   map[uint64][16]byte
	held    unsafe.Pointer // memory of C
	foreign map[unsafe.Pointer]int

	arrived = make(chan struct{}, 8)
	never   = make(chan struct{})
	ids     [8]uint64
)

func word(i int) string { return "key-" + strconv.Itoa(i) }

//go:noinline
func recs(name string, n int) map[string]*rec {
	m := make(map[string]*rec)
	for i := 0; i < n; i++ {
		m[word(i)] = &rec{name: word(i)}
	}
	return probe.Add(name, "stack", m)
}

//go:noinline
func inC() {
	m := recs("in-c", 300)
	ids[0] = probe.Goid()
	arrived <- struct{}{}
	C.block()
	runtime.KeepAlive(m)
}

//go:noinline
func inCallback() {
	m := recs("before-callback", 310)
	C.callback(1)
	runtime.KeepAlive(m)
}

//export comeBack
func comeBack(n C.int) {
	m := recs("in-callback-"+strconv.Itoa(int(n)), 320+int(n))
	ids[n] = probe.Goid()
	arrived <- struct{}{}
	<-never
	runtime.KeepAlive(m)
}

func main() {
	words = probe.Add("words", "global", map[string]int{})
	for i := 0; i < 1000; i++ {
		words[word(i)] = i
	}
	current = &session{1, probe.Add("session", "global", make(map[string]*rec))}
	for i := 0; i < 200; i++ {
		current.open[word(i)] = &rec{name: word(i)}
	}
	sizes = probe.Add("sizes", "global", make(map[uint64][16]byte, 5000))
	for i := uint64(0); i < 400; i++ {
		sizes[i] = [16]byte{1}
	}
	held = C.hold(cBytes)
	foreign = probe.Add("foreign", "global", make(map[unsafe.Pointer]int)) // its keys point into memory of C
	for i := 0; i < 100; i++ {
		foreign[unsafe.Pointer(uintptr(held)+uintptr(i)*64)] = i
	}
	go inC()
	<-arrived
	go inCallback()
	<-arrived
	C.foreign(2)
	<-arrived
	C.onSignalStack()
	for C.waiting() < 2 {
		time.Sleep(time.Millisecond)
	}
	probe.Settle()
	probe.Report(func() {
		probe.Number("c_bytes", cBytes)
		probe.Number("in_c", ids[0])
		probe.Number("in_callback", ids[1])
		probe.Number("on_foreign_thread", ids[2])
	})
	runtime.KeepAlive(held)
}
