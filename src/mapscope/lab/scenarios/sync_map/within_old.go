//go:build !go1.24

package main

import (
	"runtime"
	"sync"
	"unsafe"
)

// parts are the fields of a sync.Map (sync/map.go): the map in read, the header of dirty, misses. In Go 1.19 read is an
// atomic.Value, two words, of which the second leads to readOnly; from 1.21 on it is an atomic.Pointer.
func parts(m *sync.Map) (read, dirty uintptr, misses uint64) {
	at := uintptr(unsafe.Pointer(m))
	held := at + 8
	if wide {
		held += 8
	}
	if only := word(held); only != 0 {
		read = word(only)
	}
	return read, word(held + 8), u64(held + 16)
}

// stateOf reads a header whose type is map[any]*entry.
func stateOf(h uintptr) State { return stateAt(h, uintptr(unit[map[any]*int]())) }

func within() {
	var m sync.Map
	for i := 0; i < 100; i++ {
		m.Store(i, i)
	}
	read, dirty, _ := parts(&m)
	was := dirty
	before := stateOf(dirty)
	for i := 100; i < 1000; i++ {
		m.Store(i, i)
	}
	read, dirty, _ = parts(&m)
	after := stateOf(dirty)
	sayFlag("dirty_is_the_same", dirty == was)
	say("dirty_slots_before", before.Slots)
	say("dirty_slots_after", after.Slots)
	for i := 0; i < 1000; i++ { // as many misses as dirty has entries
		m.Load(i)
	}
	read, _, _ = parts(&m)
	sayFlag("read_is_what_dirty_was", read == was)
	_, _, misses := parts(&m)
	for i := 0; i < 1000; i++ {
		m.Load(i)
	}
	_, _, again := parts(&m)
	say("misses_before_hits", misses)
	say("misses_after_hits", again)

	// promoted in mid growth
	frozen := new(sync.Map)
	for i := 0; ; i++ {
		frozen.Store(i, i)
		_, dirty, _ = parts(frozen)
		if s := stateOf(dirty); i > 10_000 && s.Old != 0 {
			break
		}
	}
	frozen.Range(func(k, v any) bool { return true }) // promotes it
	read, _, _ = parts(frozen)
	start := stateOf(read)
	for turn := 0; turn < 3; turn++ {
		for i := 0; i < 20_000; i++ {
			frozen.Load(i % 10_000)
			frozen.Store(i%10_000, turn) // of a key that is there: the map itself is not written
		}
		runtime.GC()
	}
	read, _, _ = parts(frozen)
	now := stateOf(read)
	say("frozen_noldbuckets", now.NOld)
	say("frozen_evacuated_before", start.Evacuated)
	say("frozen_evacuated_after", now.Evacuated)
	sayFlag("frozen_grows", now.Old != 0)
	keep = append(keep, frozen)
	subjects = append(subjects, noted{"frozen", read})
	units = append(units, uintptr(unit[map[any]*int]()))
}
