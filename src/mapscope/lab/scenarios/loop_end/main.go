// A loop has come to its end while its map had grown, and its function goes on: what is left of the old arrays where the
// goroutine is parked, and where it computes without a call and is interrupted.
package main

import (
	"runtime"
	"sync/atomic"
)

const times = 20

// entry is as large as an element can be that lies in the array itself. (runtime/map.go maxElemSize)
type entry [16]uint64

// filled fills one table of a Swiss map: its iterator holds one at a time.
func filled() map[uint64]entry {
	m := make(map[uint64]entry)
	keys := random(1)
	for i := 0; i < 800; i++ {
		m[keys.next()] = entry{}
	}
	finish(m, 0)
	return m
}

// grow inserts until the map has other arrays than the loop began with.
func grow(m map[uint64]entry) {
	keys := random(2)
	for i := 0; i < 2_400; i++ {
		m[keys.next()] = entry{}
	}
	finish(m, 0)
}

// The loop stands in two functions, for it is in the frame of each that its iterator lies.

// parks loops over the map, and waits: in the first turn, and behind the loop, which it leaves then or goes to the end of.
//
//go:noinline
func parks(m map[uint64]entry, leave bool, middle, end *gate) {
	first := true
	for range m {
		if first {
			first = false
			middle.wait()
			if leave {
				break
			}
		}
	}
	end.wait()
	close(end.done)
}

// computes does the same, but behind the loop it has no call in which it could be stopped in order.
//
//go:noinline
func computes(m map[uint64]entry, leave bool, middle *gate, running, stop *uint32) {
	first := true
	for range m {
		if first {
			first = false
			middle.wait()
			if leave {
				break
			}
		}
	}
	atomic.StoreUint32(running, 1)
	for atomic.LoadUint32(stop) == 0 {
	}
	close(middle.done)
}

// parked is what the end of the loop frees, and then that of the function.
func parked(leave bool) (loop, function uint64) {
	m := filled()
	middle, end := newGate(), newGate()
	go parks(m, leave, middle, end)
	<-middle.ready
	grow(m)
	within := settled()
	close(middle.pass)
	<-end.ready
	for i := 0; i < 100; i++ { // until it is parked
		runtime.Gosched()
	}
	waiting := settled()
	end.open()
	ended := settled()
	runtime.KeepAlive(m)
	return gap(within, waiting), gap(waiting, ended)
}

// loop is one that has gone on behind its end.
type loop struct {
	m             map[uint64]entry
	middle        *gate
	running, stop uint32
}

// behind starts one; within is what the heap holds while it loops.
func behind(leave bool) (one *loop, within uint64) {
	one = &loop{m: filled(), middle: newGate()}
	go computes(one.m, leave, one.middle, &one.running, &one.stop)
	<-one.middle.ready
	grow(one.m)
	within = settled()
	close(one.middle.pass)
	for atomic.LoadUint32(&one.running) == 0 {
		runtime.Gosched()
	}
	return one, within
}

func interrupted(leave bool) (loop, function uint64) {
	one, within := behind(leave)
	computing := settled()
	atomic.StoreUint32(&one.stop, 1)
	<-one.middle.done
	ended := settled()
	runtime.KeepAlive(one.m)
	return gap(within, computing), gap(computing, ended)
}

func main() {
	parked(true) // what is allocated once and for all is there from then on
	interrupted(true)
	for _, way := range []struct {
		name  string
		run   func(bool) (uint64, uint64)
		leave bool
	}{
		{"parked_end", parked, false}, {"parked_break", parked, true},
		{"interrupted_end", interrupted, false}, {"interrupted_break", interrupted, true},
	} {
		kept := uint64(0)
		for i := 0; i < times; i++ {
			loop, function := way.run(way.leave)
			if function > loop {
				kept++
			}
			if i == 0 {
				say(way.name+"_freed_by_loop", loop)
				say(way.name+"_freed_by_function", function)
			}
		}
		say(way.name+"_kept", kept)
	}
	say("times", times)
	one, _ := behind(true) // it computes still when the core is taken
	keep = append(keep, one)
	note("subject", one.m)
	ready()
}
