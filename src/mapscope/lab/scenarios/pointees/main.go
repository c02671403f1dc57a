// A loop is blocked, the map grows, and every entry is deleted: what the entries pointed to stays with the iterator.
package main

import "runtime"

type payload struct{ pad [128]uint64 }

const entriesHeld = 6000

type world struct {
	m map[uint64]*payload
	g *gate
}

//go:noinline
func traverse(m map[uint64]*payload, g *gate) {
	first := true
	for range m {
		if first {
			first = false
			g.wait()
		}
	}
	close(g.done)
}

//go:noinline
func build() *world {
	w := &world{make(map[uint64]*payload), newGate()}
	for i := uint64(1); i <= entriesHeld; i++ {
		w.m[i] = new(payload)
	}
	finish(w.m, 0)
	go traverse(w.m, w.g)
	<-w.g.ready
	for i := uint64(entriesHeld + 1); i <= 4*entriesHeld; i++ {
		w.m[i] = nil
	}
	finish(w.m, 0)
	for i := uint64(1); i <= 4*entriesHeld; i++ {
		delete(w.m, i)
	}
	return w
}

func main() {
	build().g.open()
	w := build()
	with := settled()
	w.g.open()
	say("freed_when_the_loop_ends", gap(with, settled()))
	say("payload_bytes", 1024)
	say("entries", entriesHeld)
	runtime.KeepAlive(w)
	w = build()
	note("subject", w.m)
	keep = append(keep, w)
	ready()
}
