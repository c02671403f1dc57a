// A goroutine is stuck in a range over a map that nobody else has any more; another loops over a copy of the keys.
package main

import "runtime"

func filled() map[uint64]uint64 {
	m := make(map[uint64]uint64)
	keys := random(1)
	for i := 0; i < 20_000; i++ {
		m[keys.next()] = 1
	}
	finish(m, 0)
	return m
}

//go:noinline
func loops(b *box[map[uint64]uint64], g *gate) {
	first := true
	for range b.take() {
		if first {
			first = false
			g.wait()
		}
	}
	close(g.done)
}

// copies takes the keys and loops over them instead.
//
//go:noinline
func copies(b *box[map[uint64]uint64], g *gate) {
	keys := keysOf(b.take())
	for i := range keys {
		if i == 0 {
			g.wait()
		}
	}
	runtime.KeepAlive(keys)
	close(g.done)
}

//go:noinline
func keysOf(m map[uint64]uint64) []uint64 {
	keys := make([]uint64, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

//go:noinline
func start(run func(*box[map[uint64]uint64], *gate), name string) *gate {
	m := filled()
	if name != "" {
		note(name, m)
	}
	g := newGate()
	b := &box[map[uint64]uint64]{m}
	m = nil
	go run(b, g)
	<-g.ready
	return g
}

// worth is how much the end of the loop frees.
func worth(run func(*box[map[uint64]uint64], *gate)) uint64 {
	g := start(run, "")
	with := settled()
	g.open()
	return gap(with, settled())
}

func main() {
	worth(loops) // what is allocated once and for all is there from then on
	m := filled()
	with := settled()
	runtime.KeepAlive(m)
	m = nil
	say("map_bytes", gap(with, settled()))
	say("freed_when_the_loop_ends", worth(loops))
	say("freed_when_the_loop_over_a_copy_ends", worth(copies))
	say("keys_bytes", 20_000*8)
	keep = append(keep, start(loops, "subject"))
	ready()
}
