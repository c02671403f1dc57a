//go:build !go1.24 || (!go1.26 && !goexperiment.swissmap)

package main

// The classic map: hmap and bmap in runtime/map.go.

const classic = true

func unitOf(maptype uintptr) uint64 { return u16(maptype + 0x52) }

func stateAt(h, bucket uintptr) State {
	s := State{
		Address: uint64(h), Count: u64(h), Flags: u8(h + 8), B: u8(h + 9), Overflow: u16(h + 0xa),
		Array: u64(h + 0x10), Old: u64(h + 0x18), Nevacuate: u64(h + 0x20),
	}
	if s.Array != 0 {
		s.Slots = 8 << s.B
	}
	if s.Old == 0 {
		return s
	}
	s.NOld = 1 << s.B
	if s.Flags&8 == 0 { // not sameSizeGrow
		s.NOld >>= 1
	}
	for i := uintptr(0); i < uintptr(s.NOld); i++ {
		if mark := u8(uintptr(s.Old) + i*bucket); mark >= 2 && mark <= 4 {
			s.Evacuated++
		}
	}
	return s
}

// entries counts the entries in 2^B buckets and in the overflow buckets that hang on them.
func entries[M any](m M) (count uint64) {
	h, size := header(m), uintptr(unit[M]())
	for i := uintptr(0); i < 1<<u8(h+9); i++ {
		for b := word(h+0x10) + i*size; b != 0; b = word(b + size - 8) {
			for j := uintptr(0); j < 8; j++ {
				if u8(b+j) >= 5 {
					count++
				}
			}
		}
	}
	return count
}
