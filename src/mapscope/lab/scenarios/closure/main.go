// A closure that runs as a goroutine has captured a map. The map grows, and its maker drops it.
package main

import "runtime"

func runs(m map[int]string, g *gate) {
	go func() {
		g.wait()
		if len(m) == 0 {
			panic("empty")
		}
		close(g.done)
	}()
}

//go:noinline
func start(name string) *gate {
	m := make(map[int]string)
	for i := 0; i < 1600; i++ {
		m[i] = "x"
	}
	g := newGate()
	runs(m, g)
	<-g.ready
	before := state(m)
	for i := 1600; i < 6000; i++ {
		m[i] = "x"
	}
	writes := finish(m, -1)
	if name != "" {
		note(name, m)
		now := state(m)
		sayFlag("grew", now.Slots > before.Slots)
		say("writes_to_finish", writes)
		sayFlag("old_after_growth", now.Old != 0)
	}
	return g
}

func main() {
	start("").open()
	g := start("")
	with := settled()
	g.open()
	say("freed_when_the_closure_ends", gap(with, settled()))
	keep = append(keep, start("subject"))
	runtime.GC()
	ready()
}
