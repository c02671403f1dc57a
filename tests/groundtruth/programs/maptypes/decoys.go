package main

import (
	"unsafe"

	"truth/probe"
)

// Things that look like maps and are none. None of them may be reported.

type ring struct { // the words of an hmap, and of a small Swiss map, without the contents
	n    int
	meta uint64
	buf  *[34]uint64
	old  *[34]uint64
	pos  uintptr
	aux  *rec
}

type lookalike struct { // used, seed, dirPtr, dirLen 0 …
	used uint64
	seed uintptr
	buf  *[26]uint64
	zero [3]uint64
}

var (
	gCopies     []*[6]uintptr // copies of headers in memory without pointers
	gRings      []*ring
	gLookalikes []*lookalike
	decoyAt     []uintptr
)

func decoys() {
	for _, m := range []map[string]int{gOne, gNine, gThousand} {
		header := *(**[6]uintptr)(unsafe.Pointer(&m))
		copied := *header
		gCopies = append(gCopies, &copied)
	}
	for i := 0; i < 8; i++ {
		gRings = append(gRings, &ring{n: i + 1, meta: 1 << 32, buf: new([34]uint64), aux: newRec(i)})
		gLookalikes = append(gLookalikes, &lookalike{used: uint64(i + 1), seed: 0x1234567, buf: new([26]uint64)})
	}
	for _, p := range gCopies {
		decoyAt = append(decoyAt, uintptr(unsafe.Pointer(p)))
	}
	for i := range gRings {
		decoyAt = append(decoyAt, uintptr(unsafe.Pointer(gRings[i])), uintptr(unsafe.Pointer(gLookalikes[i])))
	}
	for i := 0; i < 2000; i++ { // maps that are dead when the core is taken
		gCleanupSeen += len(strings(i % 20))
	}
}

func reportDecoys() { probe.Numbers("decoys", decoyAt) }
