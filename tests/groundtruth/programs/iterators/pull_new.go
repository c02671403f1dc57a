//go:build go1.23

package main

import (
	"iter"
	"maps"
	"runtime"

	"truth/probe"
)

// pulled has taken one key of a map that nothing else knows, and forgets how to go on. Nothing can end the coroutine any
// more, so what it keeps is measured when it is made.
func pulled(g *gate) uintptr {
	before := live()
	address := pullOver()
	made = live() - before
	start(g, func() { g.wait() })
	return address
}

//go:noinline
func pullOver() uintptr {
	m := payloads()
	address := probe.Word(&m)
	next, _ := iter.Pull(maps.Keys(m))
	next()
	runtime.KeepAlive(next)
	return address
}

// pulls takes one key of a map and goes no further until the gate opens. Its id is of the one who pulls; the loop has a
// goroutine of its own.
func pulls(g *gate) func(*box[wide], *box[*payload]) {
	return func(n *box[wide], p *box[*payload]) {
		if n != nil {
			pullsFrom(n.take(), g)
		} else {
			pullsFrom(p.take(), g)
		}
	}
}

func pullsFrom[V any](m map[uint64]V, g *gate) {
	next, stop := iter.Pull(maps.Keys(m))
	next()
	go func() {
		g.wait()
		stop()
		close(g.done)
	}()
}
