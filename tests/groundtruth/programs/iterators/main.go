// Command iterators has one goroutine with an iterator over a map that has changed since, and waits. When its input ends,
// it lets the loop come to its end and prints how much HeapAlloc fell. Mode "matrix" has many of them. Other modes are
// controls: their loops have ended, or merely run.
package main

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"truth/probe"
)

var (
	subject uintptr // header of the map
	routine uint64  // id of the goroutine that stays
	keep    []any
	spins   int64
	made    uint64 // bytes that came with something that cannot be ended
)

func live() uint64 {
	var figures runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&figures)
	return figures.HeapAlloc
}

// settledLive is live when it says the same twice.
func settledLive() uint64 {
	last := live()
	for i := 0; i < 20; i++ {
		again := live()
		if again == last {
			break
		}
		last = again
	}
	return last
}

// gate is what a loop waits at.
type gate struct {
	ready, pass, done chan struct{}
	never, halted     chan struct{}
	id                uint64
	begun             bool
	stop              int32 // for loops that must not call anything
	busy              bool  // it runs, and looks at halting now and then
	halting           int32
}

func newGate() *gate {
	return &gate{
		ready: make(chan struct{}), pass: make(chan struct{}), done: make(chan struct{}), never: make(chan struct{}),
		halted: make(chan struct{}),
	}
}

// wait lets the maker know that the loop is under way, and blocks until the gate opens.
//
//go:noinline
func (g *gate) wait() {
	if g.begun {
		return
	}
	g.begun = true
	g.id = goid()
	close(g.ready)
	<-g.pass
}

// halt makes a loop that runs wait in its middle. The collector takes every word of an interrupted frame for a pointer, also
// those that an earlier goroutine left on this stack; in a frame that has called something it knows the pointers.
func (g *gate) halt() {
	if g.busy {
		atomic.StoreInt32(&g.halting, 1)
		<-g.halted
	}
}

// asked is true when the loop shall wait.
func (g *gate) asked() bool { return atomic.LoadInt32(&g.halting) != 0 }

// stand waits, as halt has asked for.
//
//go:noinline
func (g *gate) stand() {
	close(g.halted)
	<-g.pass
}

// open lets the loop run to its end and waits until its goroutine is about to be gone.
func (g *gate) open() {
	atomic.StoreInt32(&g.stop, 1)
	close(g.pass)
	<-g.done
	for i := 0; i < 100; i++ { // its goroutine has its last instructions before it
		runtime.Gosched()
	}
}

// goid is the number in the first line of runtime.Stack, read without an allocation.
func goid() uint64 {
	var text [64]byte
	n := runtime.Stack(text[:], false)
	id := uint64(0)
	for _, c := range text[len("goroutine "):n] {
		if c == ' ' {
			break
		}
		id = id*10 + uint64(c-'0')
	}
	return id
}

// state is a way to make the situation: it starts the goroutine and answers the address of the map's header.
type state func(g *gate) uintptr

// threads starts more of them than are ever needed: the runtime allocates the record of a thread on the heap, at any time.
func threads() {
	var begun, ended sync.WaitGroup
	release := make(chan struct{})
	begun.Add(16)
	ended.Add(16)
	for i := 0; i < 16; i++ {
		go func() {
			runtime.LockOSThread()
			begun.Done()
			<-release
			runtime.UnlockOSThread()
			ended.Done()
		}()
	}
	begun.Wait()
	close(release)
	ended.Wait()
}

func main() {
	mode := "receive"
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	if mode == "matrix" {
		threads()
		runMatrix()
		return
	}
	make, known := modes()[mode]
	if !known {
		os.Stderr.WriteString("no such mode: " + mode + "\n")
		os.Exit(2)
	}
	threads()
	for i := 0; i < 3; i++ { // what is allocated once and for all is there from then on
		warm := newGate()
		make(warm)
		settledLive()
		warm.open()
		keep = nil
	}
	stays := newGate()
	subject = make(stays)
	routine = stays.id
	keep = append(keep, stays)
	probe.Settle()
	probe.Report(func() {
		probe.Text("mode", mode)
		probe.Number("subject", uint64(subject))
		probe.Number("goroutine", routine)
		probe.Number("made", made)
		probe.Number("spins", uint64(atomic.LoadInt64(&spins)))
	})
	// its input has ended: now the loop may, too
	stays.halt()
	before := settledLive()
	stays.open()
	after := settledLive()
	runtime.KeepAlive(keep)
	os.Stdout.WriteString(strconv.FormatInt(int64(before)-int64(after), 10) + "\n")
}
