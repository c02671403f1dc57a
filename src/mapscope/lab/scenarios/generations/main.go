// A map doubles again and again, and before each doubling a goroutine is stuck in a range over it.
package main

import "runtime"

type held struct {
	m     map[uint64]uint64
	gates []*gate
}

//go:noinline
func traverse(m map[uint64]uint64, g *gate) {
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
func build() *held {
	h := &held{m: make(map[uint64]uint64)}
	next := uint64(1)
	// Of Swiss maps: the last range stands in one of 256 tables of 675 entries each. At the end it would have 1,350; it
	// splits at the 897th, whatever the seed.
	for size := uint64(2700); size <= 172_800; size *= 2 {
		for ; next <= size; next++ {
			h.m[next] = 1
		}
		finish(h.m, 0)
		g := newGate()
		go traverse(h.m, g)
		<-g.ready
		h.gates = append(h.gates, g)
	}
	for ; next <= 345_600; next++ {
		h.m[next] = 1
	}
	finish(h.m, 0)
	return h
}

func (h *held) end() {
	for _, g := range h.gates {
		g.open()
	}
	h.gates = nil
}

func main() {
	build().end()
	h := build()
	with := settled()
	iterators := uint64(len(h.gates))
	h.end()
	say("iterators", iterators)
	say("freed_when_the_loops_end", gap(with, settled()))
	runtime.KeepAlive(h)
	h = build()
	note("subject", h.m)
	keep = append(keep, h)
	ready()
}
