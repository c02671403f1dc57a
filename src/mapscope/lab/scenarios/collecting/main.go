// What the collector scans, when it has freed what is dead, and where the arrays of a map lie.
package main

import (
	"runtime"
	"runtime/debug"
	"time"
	"unsafe"
)

// What is allocated behind this has no record of the memory profile, and so no specials.
var _ = func() bool {
	runtime.MemProfileRate = 0
	return true
}()

const (
	links   = 2_000
	values  = 4_000
	garbage = 16 << 20
)

// link is scanned when the span that it lies in is.
type link struct {
	next *link
	_    [1016]byte
}

type value [1024]byte

func main() {
	growth()
	bound()
	chain()
	sleeping()
	ready()
}

// growth lets a goroutine bring a map into the middle of a growth, and end.
func growth() {
	m := make(map[uint64]uint64)
	for runtime.NumGoroutine() > 1 { // those of init have their last instructions before them
		runtime.Gosched()
	}
	before := runtime.NumGoroutine()
	done, after := make(chan bool), 0
	go func() {
		keys := random(1)
		for i := 0; i < 20_000 || (classic && !growing(m)); i++ {
			m[keys.next()] = 1
		}
		after = runtime.NumGoroutine()
		close(done)
	}()
	<-done
	for runtime.NumGoroutine() > before {
		runtime.Gosched()
	}
	say("goroutines_but_the_writer_before", uint64(before))
	say("goroutines_but_the_writer_after_growth", uint64(after-1))
	old := state(m).Old
	runtime.GC()
	runtime.GC()
	sayFlag("old_array_outlives_its_goroutine", old != 0 && state(m).Old == old)
	note("subject", m)
	keep = append(keep, m)
}

// bound says to the header of a map in mid growth that it has few buckets, and collects: what the other old buckets point to
// would be freed if that bounded the scan.
func bound() {
	if !classic {
		return
	}
	m := make(map[uint64]*value)
	keys := random(3)
	for i := 0; i < values || !growing(m); i++ {
		m[keys.next()] = new(value)
	}
	real := state(m)
	before := settled()
	b := (*uint8)(at(header(m) + 9))
	was := *b
	*b = 1 // so noldbuckets is 1
	lowered := state(m).NOld
	after := settled()
	*b = was
	say("noldbuckets", real.NOld)
	say("noldbuckets_lowered", lowered)
	say("not_evacuated", real.NOld-real.Evacuated)
	say("freed_with_noldbuckets_lowered", gap(before, after))
	left := uint64(0)
	for _, v := range m {
		if v != nil {
			left++
		}
	}
	say("values_left", left)
	say("values", real.Count)
	runtime.KeepAlive(m)
}

// chain holds objects, one by the other, in spans without specials.
func chain() {
	base := settled()
	var first *link
	for i := 0; i < links; i++ {
		first = &link{next: first}
	}
	held := gap(settled(), base)
	count := uint64(0)
	for l := first; l != nil; l = l.next {
		count++
	}
	runtime.KeepAlive(first)
	say("chain_bytes", links*uint64(unsafe.Sizeof(link{})))
	say("chain_held", held)
	say("chain_length", count)
}

//go:noinline
func dead() {
	block := make([]byte, garbage)
	block[len(block)-1] = 1
}

// sleeping compares what is live behind a collection with what is after some time.
func sleeping() {
	var before, collected, slept runtime.MemStats
	settled()
	debug.SetGCPercent(-1) // no collection but those that are asked for
	dead()
	runtime.ReadMemStats(&before)
	runtime.GC()
	runtime.ReadMemStats(&collected)
	time.Sleep(300 * time.Millisecond)
	runtime.ReadMemStats(&slept)
	say("garbage", garbage)
	say("freed_by_the_collection", gap(before.HeapAlloc, collected.HeapAlloc))
	say("freed_while_it_slept", gap(collected.HeapAlloc, slept.HeapAlloc))
}
