package main

import (
	"runtime"

	"truth/probe"
)

type closer struct {
	id   int
	maps map[string]int
	next *closer
}

var (
	gFinalized   *closer
	finalizing   = make(chan struct{})
	neverClosed  = make(chan struct{})
	gCleanupSeen int
	queuedRan    bool
)

// finalizers makes maps that only a finalizer, the queue of finalizers or a cleanup still reaches.
func finalizers() {
	// the closure of the finalizer holds a map; the object itself lives
	gFinalized = &closer{id: 1}
	held := probe.Add("finalizer/closure", "finalizer", strings(13))
	runtime.SetFinalizer(gFinalized, func(*closer) { gCleanupSeen += len(held) })
	small := probe.Add("finalizer/closure/small", "finalizer", strings(2))
	gFinalized.next = &closer{id: 2}
	runtime.SetFinalizer(gFinalized.next, func(*closer) { gCleanupSeen += len(small) })

	// a finalizer that does not come to an end: its argument is on the stack of the finalizer goroutine
	drop("finalizer/running", func(c *closer) {
		close(finalizing)
		<-neverClosed
		runtime.KeepAlive(c)
	})
	for running := false; !running; {
		runtime.GC()
		select {
		case <-finalizing:
			running = true
		default:
			runtime.Gosched()
		}
	}
	// and one that waits behind it in the queue
	drop("finalizer/queued", func(c *closer) { queuedRan = true; runtime.KeepAlive(c) })
	runtime.GC()
	runtime.GC()
	cleanups()
}

//go:noinline
func drop(name string, finalize func(*closer)) {
	c := &closer{maps: probe.Add(name, "finalizer-queue", strings(14))}
	runtime.SetFinalizer(c, finalize)
}
