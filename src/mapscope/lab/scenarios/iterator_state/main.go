// What an iterator holds, read from a reflect.MapIter, and what loops see of a map that changes.
package main

import (
	"reflect"
	"runtime"
	"unsafe"
)

// inside is the iterator within a reflect.MapIter: hiter of classic maps, maps.Iter of Swiss maps. Both begin after the
// reflect.Value of the map (reflect/value.go, reflect/map_swiss.go, reflect/map.go).
func inside(iter *reflect.MapIter) uintptr { return uintptr(unsafe.Pointer(iter)) + 24 }

func fill(m map[uint64]uint64, from, to uint64) {
	for i := from; i < to; i++ {
		m[i] = 1
	}
}

func main() {
	m := note("subject", make(map[uint64]uint64))
	fill(m, 0, 5000)
	finish(m, 1<<40)
	iter := reflect.ValueOf(m).MapRange()
	iter.Next()
	it, h := inside(iter), header(m)
	keep = append(keep, m, iter)
	if classic {
		sayFlag("knows_the_map", word(it+0x18) == h)
		sayFlag("array_copied", word(it+0x20) == word(h+0x10))
		sayFlag("size_copied", u8(it+0x4a) == u8(h+9))
		sayFlag("overflow_of_words", word(it+0x30) != 0)
	} else {
		sayFlag("knows_the_map", word(it+0x18) == h)
		sayFlag("array_copied", word(it+0x48) != 0)
		sayFlag("size_copied", u8(it+0x38) == u8(h+0x20))
	}
	fill(m, 5000, 40_000)
	finish(m, 1<<40)
	if classic {
		sayFlag("size_follows", u8(it+0x4a) == u8(h+9))
		pointers := map[uint64]*uint64{}
		for i := uint64(0); i < 5000; i++ {
			pointers[i] = &i
		}
		other := reflect.ValueOf(pointers).MapRange()
		other.Next()
		sayFlag("overflow_of_pointers", word(inside(other)+0x30) != 0)
		runtime.KeepAlive(other)
	} else {
		sayFlag("size_follows", u8(it+0x38) == u8(h+0x20))
	}

	// where they start
	starts := map[uint64]bool{}
	for i := 0; i < 64; i++ {
		one := reflect.ValueOf(m).MapRange()
		one.Next()
		if classic {
			starts[u64(inside(one)+0x40)<<8|u8(inside(one)+0x48)] = true
		} else {
			starts[u64(inside(one)+0x20)<<16^u64(inside(one)+0x28)] = true
		}
		runtime.KeepAlive(one)
	}
	say("starts", uint64(len(starts)))

	// every entry, those of overflow buckets too; and a value that is written during the loop
	seen, twos, first := uint64(0), uint64(0), true
	for k, v := range m {
		if first {
			first = false
			for j := range m {
				m[j] = 2
			}
			m[k] = 3
		} else if v == 2 {
			twos++
		}
		seen++
	}
	say("entries", uint64(len(m)))
	say("overflow_buckets", state(m).Overflow)
	say("seen", seen)
	say("seen_with_the_new_value", twos)

	// a map that grows eightfold inside the loop
	grows := make(map[uint64]uint64)
	fill(grows, 0, 3000)
	before := state(grows)
	times := make([]int, 3000)
	next := uint64(3000)
	for k := range grows {
		if k < 3000 {
			times[k]++
		}
		for i := 0; i < 8 && next < 24_000; i++ {
			grows[next] = 1
			next++
		}
	}
	once := uint64(0)
	for _, n := range times {
		if n == 1 {
			once++
		}
	}
	say("slots_before", before.Slots)
	say("slots_after", state(grows).Slots)
	say("entries_before", 3000)
	say("came_exactly_once", once)
	ready()
}
