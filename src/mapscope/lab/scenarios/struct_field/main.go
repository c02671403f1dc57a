// A map in a long-lived structure, a goroutine blocked in a range over it; then the map grows sixteenfold.
package main

import (
	"reflect"
	"runtime"
	"unsafe"
)

type cache struct {
	name  string
	table map[uint64]uint64
}

var global *cache

//go:noinline
func filled() *cache {
	c := &cache{name: "cache", table: make(map[uint64]uint64)}
	for i := uint64(1); i <= 10_000; i++ {
		c.table[i] = 1
	}
	finish(c.table, 0)
	return c
}

//go:noinline
func traverse(c *cache, g *gate) {
	first := true
	for range c.table {
		if first {
			first = false
			g.wait()
		}
	}
	close(g.done)
}

//go:noinline
func blocked(c *cache) *gate {
	g := newGate()
	go traverse(c, g)
	<-g.ready
	before := state(c.table)
	for i := uint64(10_001); i <= 160_000; i++ {
		c.table[i] = 1
	}
	writes = finish(c.table, 0)
	now := state(c.table)
	grew, old = now.Slots/before.Slots, now.Old
	return g
}

var writes, grew, old uint64

func main() {
	for i := 0; i < 2; i++ {
		c := filled()
		g := blocked(c)
		with := settled()
		g.open()
		freed := gap(with, settled())
		runtime.KeepAlive(c)
		if i == 1 {
			say("freed_when_the_loop_ends", freed)
		}
	}
	global = filled()
	note("subject", global.table)
	keep = append(keep, blocked(global))
	say("grew_times", grew)
	say("writes_to_finish_while_blocked", writes)
	sayFlag("growth_goes_on_while_blocked", old != 0)
	if classic {
		midway()
	}
	ready()
}

// midway opens iterators during a growth, ends that, and looks where they stand.
func midway() {
	m := make(map[uint64]*uint64)
	keys := random(3)
	for i := 0; i < 10_000 || !growing(m); i++ {
		m[keys.next()] = new(uint64)
	}
	for i := 0; i < 600; i++ { // some buckets are moved, others are not
		delete(m, keys.next())
	}
	if !growing(m) {
		panic("the growth is over")
	}
	now := state(m)
	size := now.NOld * unit[map[uint64]*uint64]()
	var iters []*reflect.MapIter
	for i := 0; i < 64; i++ {
		one := reflect.ValueOf(m).MapRange()
		one.Next()
		iters = append(iters, one)
	}
	finish(m, 0)
	in, out := uint64(0), uint64(0)
	for _, one := range iters {
		bptr := u64(uintptr(unsafe.Pointer(one)) + 24 + 0x28)
		if bptr >= now.Old && bptr < now.Old+size {
			in++
		} else {
			out++
		}
	}
	say("midway_standing_in_the_old_array", in)
	say("midway_standing_elsewhere", out)
	runtime.KeepAlive(iters)
}
