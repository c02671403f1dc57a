package main

import (
	"runtime"
	"strconv"
	"unsafe"
)

// curve says for each count how many bytes of the heap a map with so many keys (1, 2, 3 …) gives back, and their hashes.
func curve(name string, counts []string) {
	runtime.GOMAXPROCS(1) // fewer threads to be made meanwhile, which take memory too
	settled()
	for _, count := range counts {
		n, _ := strconv.ParseUint(count, 10, 64)
		begin(name, -1)
		for key := uint64(1); key <= n; key++ {
			subject.put(key, key)
		}
		hashes := make([]uint64, n)
		for i := range hashes {
			hashes[i] = hash(uint64(i + 1))
		}
		seed := seed()
		with := settled()
		*(*unsafe.Pointer)((*[2]unsafe.Pointer)(unsafe.Pointer(&subject))[1]) = nil // the map variable
		freed := with - settled()
		text("{\"_\":0")
		member("seed", seed)
		list("hashes", hashes)
		member("bytes", freed)
		text("}\n")
		flush(0)
	}
}

var figures runtime.MemStats

// settled is what lives after collections, when it no longer changes.
func settled() uint64 {
	for last := uint64(0); ; last = figures.HeapAlloc {
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&figures)
		if figures.HeapAlloc == last {
			return last
		}
	}
}
