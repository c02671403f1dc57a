//go:build go1.24 && (go1.26 || goexperiment.swissmap)

package main

// The Swiss map: Map, table and group in internal/runtime/maps.

const classic = false

func unitOf(maptype uintptr) uint64 { return u64(maptype + 0x50) }

func stateAt(m, _ uintptr) State {
	s := State{Address: uint64(m), Count: u64(m), Array: u64(m + 0x10)}
	directory, length := word(m+0x10), uintptr(u64(m+0x18))
	if length == 0 {
		if directory != 0 {
			s.Slots = 8
		}
		return s
	}
	last := uintptr(0)
	for i := uintptr(0); i < length; i++ { // the entries of one table lie side by side
		if table := word(directory + 8*i); table != last {
			last = table
			s.Tables++
			s.Slots += u16(table + 2)
		}
	}
	return s
}

func entries[M any](m M) uint64 { return u64(header(m)) }
