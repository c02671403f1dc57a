// What heap profiles say of a healthy map and of one with trouble: objects allocated and in use at its site, and how deep the
// runtime is below mapassign_fast64. Every allocation is sampled.
package main

import (
	"runtime"
	"strings"
)

const inserts = 60_000

var one = uint64(1)

//go:noinline
func presized() map[uint64]*uint64 {
	m := make(map[uint64]*uint64, inserts)
	keys := random(1)
	for i := 0; i < inserts; i++ {
		m[keys.next()] = &one
	}
	return m
}

// finished grew, and no growth is under way.
//
//go:noinline
func finished() map[uint64]*uint64 {
	m := make(map[uint64]*uint64)
	keys := random(1)
	for i := 0; i < inserts; i++ {
		m[keys.next()] = &one
	}
	finish(m, 0)
	return m
}

// stalled is left in the middle of a growth, where there is such a thing.
//
//go:noinline
func stalled() map[uint64]*uint64 {
	m := make(map[uint64]*uint64)
	keys := random(1)
	for i := 0; i < inserts || (classic && !growing(m)); i++ {
		m[keys.next()] = &one
	}
	return m
}

// emptied grew, and ten entries are left in it.
//
//go:noinline
func emptied() map[uint64]*uint64 {
	m := make(map[uint64]*uint64)
	keys := random(1)
	for i := 0; i < inserts; i++ {
		m[keys.next()] = &one
	}
	for k := range m {
		if len(m) > 10 {
			delete(m, k)
		}
	}
	return m
}

// seen is what the records of one function's map say. largest: bytes of the record with most of them below mapassign_fast64;
// depth: its frames below that.
type seen struct{ allocated, inUse, depth, largest uint64 }

// records reads the profile of the runtime itself, whose stacks have the frames that the files leave out.
func records() map[string]*seen {
	all := make([]runtime.MemProfileRecord, 10_000)
	n, ok := runtime.MemProfile(all, true)
	if !ok {
		panic("more records than there is room for")
	}
	found := map[string]*seen{}
	for _, record := range all[:n] {
		frames := runtime.CallersFrames(record.Stack())
		below := uint64(0)
		for depth := uint64(0); ; depth++ {
			frame, more := frames.Next()
			if strings.Contains(frame.Function, "mapassign_fast64") {
				below = depth
			}
			if strings.HasPrefix(frame.Function, "main.") {
				function := strings.TrimPrefix(frame.Function, "main.")
				its := found[function]
				if its == nil {
					its = &seen{}
					found[function] = its
				}
				its.allocated += uint64(record.AllocObjects)
				its.inUse += uint64(record.InUseObjects())
				if bytes := uint64(record.AllocBytes); below > 0 && bytes > its.largest {
					its.largest, its.depth = bytes, below
				}
				break
			}
			if !more {
				break
			}
		}
	}
	return found
}

func main() {
	runtime.MemProfileRate = 1
	keep = append(keep, note("presized", presized()), note("finished", finished()), note("stalled", stalled()), note("emptied", emptied()))
	for i := 0; i < 3; i++ { // what is freed is in the profile after the next collections
		runtime.GC()
	}
	found := records()
	for _, name := range []string{"presized", "finished", "stalled", "emptied"} {
		its := found[name]
		if its == nil {
			panic("no record of " + name)
		}
		say(name+"_alloc_objects", its.allocated)
		say(name+"_inuse_objects", its.inUse)
		say(name+"_frames_below_mapassign", its.depth)
	}
	ready()
}
