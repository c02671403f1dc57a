package main

import (
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"
)

type embedded struct{ c chan int }

//go:noinline
func (e *embedded) Wait() { <-e.c }

type outer struct{ *embedded }

type waiter interface{ Wait() }

//go:noinline
func throughInterface(w waiter) { w.Wait() }

func inlined(c chan int)       { inlinedDeeper(c) }
func inlinedDeeper(c chan int) { block(c) }

//go:noinline
func block(c chan int) { <-c }

//go:noinline
func generic[T any](c chan T) T { return <-c }

//go:noinline
func deep(n int, c chan int) int {
	if n == 0 {
		return <-c
	}
	return deep(n-1, c) + 1
}

//go:noinline
func inDefer(c chan int) {
	defer func() { block(c) }()
}

//go:noinline
func panicking(c chan int) {
	defer func() { block(c) }()
	panic("on purpose")
}

var nowhere *int

//go:noinline
func crash() int { return *nowhere }

//go:noinline
func crashing(c chan int) {
	defer func() { block(c) }()
	crash()
}

//go:noinline
func exiting(c chan int) {
	defer func() { block(c) }()
	runtime.Goexit()
}

//go:noinline
func spin(stop *atomic32) {
	for stop.n == 0 {
		spins.n++
	}
}

func states() {
	var (
		never = make(chan int)
		mutex sync.Mutex
		rw    sync.RWMutex
		group sync.WaitGroup
		cond  = sync.NewCond(new(sync.Mutex))
		stop  atomic32
	)
	mutex.Lock()
	rw.Lock()
	group.Add(1)
	role("receive", func() { block(never) })
	role("receive-nil", func() { block(nil) })
	role("send", func() { make(chan int) <- 1 })
	role("select", func() {
		select {
		case <-never:
		case <-make(chan string):
		}
	})
	role("select-none", func() { select {} })
	role("mutex", func() { mutex.Lock() })
	role("rwmutex", func() { rw.RLock() })
	role("sleep", func() { time.Sleep(time.Hour) })
	role("group", func() { group.Wait() })
	role("cond", func() { cond.L.Lock(); cond.Wait() })
	role("locked", func() { runtime.LockOSThread(); block(never) })
	role("wrapper", func() { throughInterface(outer{&embedded{never}}) })
	role("inlined", func() { inlined(never) })
	role("generic", func() { generic(make(chan string)) })
	role("deep", func() { deep(30, never) })
	role("deferred", func() { inDefer(never) })
	role("panicking", func() { panicking(never) })
	role("crashing", func() { crashing(never) })
	role("exiting", func() { exiting(never) })
	role("spin", func() { spin(&stop) })
	role("io", func() {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		listener.Accept()
	})
	role("syscall", func() {
		var fds [2]int
		if err := syscall.Pipe(fds[:]); err != nil {
			panic(err)
		}
		var one [1]byte
		syscall.Read(fds[0], one[:])
	})
	pulls()
}

// ends makes goroutines that have come to their end, several at once, so that no new one takes a record over.
func ends() {
	gone := make(chan struct{})
	for _, name := range []string{"dead-1", "dead-2", "dead-3"} {
		role(name, func() { <-gone })
	}
	close(gone)
}
