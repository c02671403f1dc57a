// The experiment of section 2.5: once as it is printed, followed insert by insert; once as it was meant, stopped in the
// middle of the growth.
package main

import (
	"bytes"
	"fmt"
	"runtime"
	"runtime/pprof"
)

func main() {
	runtime.MemProfileRate = 1
	printed()
	meant()
	unused()
	ready()
}

// printed is the article's loop.
//
//go:noinline
func printed() {
	m := make(map[string]int, 1024)
	keep = append(keep, m)
	start := state(m)
	say("B_made", start.B)
	say("slots_made", start.Slots)
	say("tables_made", start.Tables)
	last := start
	var begins, ends, doublings, splits uint64
	for i := 0; i < 2049; i++ {
		m[fmt.Sprintf("key-%d", i)] = i
		now := state(m)
		if last.Old == 0 && now.Old != 0 {
			begins, doublings = uint64(i)+1, doublings+1
		}
		if last.Old != 0 && now.Old == 0 {
			ends = uint64(i) + 1
		}
		if now.Tables > last.Tables {
			splits += now.Tables - last.Tables
		}
		last = now
	}
	say("growth_begins_at", begins)
	say("growth_ends_at", ends)
	say("doublings", doublings)
	say("splits", splits)
	say("B_filled", last.B)
	sayFlag("old_after_loop", last.Old != 0)
	note("printed", m)
}

// meant stops while the growth goes on.
//
//go:noinline
func meant() {
	m := make(map[string]int, 1024)
	for i := 0; i < 1700; i++ {
		m[fmt.Sprintf("key-%d", i)] = i
	}
	keep = append(keep, note("meant", m))
	sayFlag("meant_grows", growing(m))
}

// unused asks a profile for the memory of the article's function after its loop: nobody uses the map any more.
func unused() {
	article()
	runtime.GC() // a heap profile is as of the last collection but one
	runtime.GC()
	runtime.GC()
	var text bytes.Buffer
	pprof.Lookup("heap").WriteTo(&text, 1)
	inUse, known := uint64(0), uint64(0)
	name := []byte("main.article+")
	var head []byte
	for _, line := range bytes.Split(text.Bytes(), []byte("\n")) {
		if len(line) > 0 && line[0] != '#' && bytes.Contains(line, []byte("@")) {
			head = line
		}
		if bytes.Contains(line, name) && head != nil {
			known++
			var count, size uint64
			fmt.Sscanf(string(head), "%d: %d ", &count, &size)
			inUse += size
			head = nil
		}
	}
	say("profile_places", known)
	say("profile_bytes_in_use", inUse)
}

//go:noinline
func article() {
	m := make(map[string]int, 1024)
	for i := 0; i < 2049; i++ {
		m[fmt.Sprintf("key-%d", i)] = i
	}
	sink = len(m)
}

var sink int
