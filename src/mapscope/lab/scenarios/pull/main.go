// iter.Pull over the keys of a map, without stop: the coroutine and the map stay for ever.
package main

import (
	"iter"
	"maps"
	"runtime"
)

func filled() map[uint64]uint64 {
	m := make(map[uint64]uint64)
	for i := uint64(1); i <= 20_000; i++ {
		m[i] = 1
	}
	finish(m, 0)
	return m
}

//go:noinline
func pulls(name string, stopped bool) {
	m := filled()
	if name != "" {
		note(name, m)
	}
	next, stop := iter.Pull(keysOf(m))
	next()
	if stopped {
		stop()
	}
}

func keysOf(m map[uint64]uint64) iter.Seq[uint64] { return maps.Keys(m) }

func main() {
	pulls("", true)
	base, goroutines := settled(), runtime.NumGoroutine()
	pulls("", true)
	say("held_with_stop", gap(settled(), base))
	say("goroutines_with_stop", uint64(runtime.NumGoroutine()-goroutines))
	base = settled()
	pulls("subject", false)
	say("held_without_stop", gap(settled(), base))
	say("goroutines_without_stop", uint64(runtime.NumGoroutine()-goroutines))
	ready()
}
