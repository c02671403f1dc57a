package main

import (
	"reflect"
	"runtime"
	"strconv"
	"unsafe"
)

// curve says for each count how many bytes of the heap a map with so many keys (1, 2, 3 …) gives back, and their hashes.
func curve(name string, counts []uint64) {
	quiet()
	for _, count := range counts {
		begin(name, -1)
		for key := uint64(1); key <= count; key++ {
			subject.put(key, key)
		}
		hashes := hashes(count)
		seed := seed()
		with := settled()
		dropMap()
		text("{\"_\":0")
		member("bytes", with-settled())
		member("seed", seed)
		list("hashes", hashes)
		text("}\n")
		flush(0)
	}
}

var held *reflect.MapIter

// pin says what one iterator keeps. It begins when the map has the first count of keys and goes one step at each other
// count; "delete" then deletes all keys but the last. "iterator" or "map" is dropped first.
func pin(name, first, deleting string, counts []uint64) {
	quiet()
	begin(name, -1)
	key := uint64(0)
	var began []uint64
	for _, count := range counts {
		for ; key < count; key++ {
			subject.put(key+1, key+1)
		}
		if held == nil {
			held = subject.value().MapRange()
			held.Next()
			began = drawn(held)
		} else {
			held.Next()
		}
	}
	hashes := hashes(key)
	seed := seed()
	if deleting == "delete" {
		for k := uint64(1); k < key; k++ {
			subject.drop(k)
		}
	}
	with := settled()
	if first == "map" {
		dropMap()
	} else {
		held = nil
	}
	without := settled()
	dropMap()
	held = nil
	nothing := settled()
	text("{\"_\":0")
	member("first", with-without)
	member("both", with-nothing)
	member("seed", seed)
	list("drawn", began)
	list("hashes", hashes)
	text("}\n")
	flush(0)
}

// dropMap clears the map variable in the subject.
func dropMap() {
	*(*unsafe.Pointer)((*[2]unsafe.Pointer)(unsafe.Pointer(&subject))[1]) = nil
}

func hashes(count uint64) []uint64 {
	all := make([]uint64, count)
	for i := range all {
		all[i] = hash(uint64(i + 1))
	}
	return all
}

func numbers(words []string) []uint64 {
	all := make([]uint64, len(words))
	for i, word := range words {
		all[i], _ = strconv.ParseUint(word, 10, 64)
	}
	return all
}

var figures runtime.MemStats

// quiet lets the runtime's own memory come to rest: fewer threads to be made meanwhile, which take memory too.
func quiet() {
	runtime.GOMAXPROCS(1)
	settled()
}

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
