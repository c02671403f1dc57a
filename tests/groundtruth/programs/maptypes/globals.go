package main

import (
	"unsafe"

	"truth/probe"
)

// Package variables that hold maps without any interface on the way.
var (
	gEmpty    map[string]int
	gOne      map[string]int
	gEight    map[string]int
	gNine     map[string]int
	gThousand map[string]int

	gWordsOne      map[uint64]uint64
	gWordsNine     map[uint64]uint64
	gWordsThousand map[uint64]uint64

	gLiteral = map[string]*rec{"a": {id: 1}, "b": {id: 2}}

	gStruct struct {
		label string
		maps  struct {
			small map[int]string
			large map[int]string
		}
	}
	gArray    [3]map[string]bool
	gSlice    []map[string]bool
	gMiddle   []map[int32]int32 // a slice that does not start at the start of its array
	gChain    *link
	gInterior *map[string]*rec // points into the middle of an object
	gPointer  *map[int]int
	gUnsafe   unsafe.Pointer
	gUnsafe9  unsafe.Pointer
	gNone     map[string]int // stays nil
)

type link struct {
	next *link
	maps map[string]*rec
}

type wide struct {
	pad  [40]int
	maps map[string]*rec
	tail [40]int
}

//go:noinline
func strings(n int) map[string]int {
	m := make(map[string]int)
	for i := 0; i < n; i++ {
		m[word(i)] = i
	}
	return m
}

//go:noinline
func words(n int) map[uint64]uint64 {
	m := make(map[uint64]uint64)
	for i := 0; i < n; i++ {
		m[uint64(i)] = uint64(i)
	}
	return m
}

//go:noinline
func recs(n int) map[string]*rec {
	m := make(map[string]*rec)
	for i := 0; i < n; i++ {
		m[word(i)] = newRec(i)
	}
	return m
}

func globals() {
	gEmpty = probe.Add("global/strings/0", "global", strings(0))
	gOne = probe.Add("global/strings/1", "global", strings(1))
	gEight = probe.Add("global/strings/8", "global", strings(8))
	gNine = probe.Add("global/strings/9", "global", strings(9))
	gThousand = probe.Add("global/strings/1000", "global", strings(1000))
	gWordsOne = probe.Add("global/words/1", "global", words(1))
	gWordsNine = probe.Add("global/words/9", "global", words(9))
	gWordsThousand = probe.Add("global/words/1000", "global", words(1000))
	probe.Add("global/literal", "global", gLiteral)

	gStruct.maps.small = make(map[int]string)
	gStruct.maps.large = make(map[int]string, 500)
	for i := 0; i < 500; i++ {
		gStruct.maps.large[i] = word(i)
	}
	gStruct.maps.small[1] = "one"
	probe.Add("global/struct/small", "global-struct", gStruct.maps.small)
	probe.Add("global/struct/large", "global-struct", gStruct.maps.large)

	for i := range gArray {
		m := make(map[string]bool)
		for j := 0; j < i*10; j++ {
			m[word(j)] = true
		}
		gArray[i] = probe.Add("global/array/"+word(i), "global-array", m)
	}
	for i := 0; i < 4; i++ {
		m := make(map[string]bool)
		for j := 0; j < i*5; j++ {
			m[word(j)] = true
		}
		gSlice = append(gSlice, probe.Add("global/slice/"+word(i), "global-slice", m))
	}
	middle := make([]map[int32]int32, 60)
	for i := 40; i < 60; i++ {
		m := make(map[int32]int32)
		for j := 0; j < i-38; j++ {
			m[int32(j)] = 1
		}
		middle[i] = probe.Add("global/middle/"+word(i), "global-slice", m)
	}
	gMiddle = middle[40:]
	for i := 0; i < 5; i++ {
		gChain = &link{gChain, probe.Add("global/chain/"+word(i), "global-pointers", recs(i*4))}
	}
	w := &wide{maps: probe.Add("global/interior", "global-interior", recs(12))}
	gInterior = &w.maps
	p := new(map[int]int)
	*p = probe.Add("global/pointer", "global-pointers", map[int]int{1: 1, 2: 2})
	gPointer = p
	one, nine := probe.Add("global/unsafe/1", "unsafe", strings(1)), probe.Add("global/unsafe/9", "unsafe", strings(9))
	gUnsafe = *(*unsafe.Pointer)(unsafe.Pointer(&one))
	gUnsafe9 = *(*unsafe.Pointer)(unsafe.Pointer(&nine))
}
