// Deferred closures that loop over a slice: what they keep until the function returns.
package main

import "runtime"

const size = 4 << 20

var sum uint64

//go:noinline
func block() [][]uint64 {
	return [][]uint64{make([]uint64, size/8)}
}

//go:noinline
func withRange() uint64 {
	old := block()
	defer func() {
		for _, b := range old {
			sum += b[0]
		}
	}()
	return settled()
}

//go:noinline
func withIndex() uint64 {
	old := block()
	defer func() {
		for i := 0; i < len(old); i++ {
			sum += old[i][0]
		}
	}()
	return settled()
}

//go:noinline
func setToNil() uint64 {
	old := block()
	defer func() {
		for _, b := range old {
			sum += b[0]
		}
	}()
	old = nil
	return settled()
}

//go:noinline
func notCaptured() uint64 {
	old := block()
	for _, b := range old {
		sum += b[0]
	}
	return settled()
}

func main() {
	withRange()
	base := settled()
	for name, run := range map[string]func() uint64{
		"range": withRange, "index": withIndex, "nil": setToNil, "not_captured": notCaptured,
	} {
		say("held_"+name, gap(run(), base))
		say("held_after_return_"+name, gap(settled(), base))
	}
	say("size", size)
	runtime.GC()
	ready()
}
