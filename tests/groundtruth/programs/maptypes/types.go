package main

import (
	"strconv"
	"unsafe"
)

// The types that keys and elems are made of.

type rec struct {
	id   int
	name string
	next *rec
}

type bigKey struct { // 136 bytes: too large for a slot, held by pointer
	id  int
	pad [16]int64
}

type bigElem struct { // 200 bytes, with pointers
	name string
	link *rec
	pad  [22]int64
}

type edge128 struct{ pad [128]byte } // the largest that lies in the slot

type edge129 struct{ pad [129]byte } // the smallest that does not

type pair struct {
	a int32
	b string
}

type padded struct {
	a uint8
	b uint32
	c uint8
}

type namer interface{ Name() string }

type tag string

func (t tag) Name() string { return string(t) }

func (r *rec) Name() string { return r.name }

// Table is a named generic map type.
type Table[K comparable, V any] map[K]V

// Registry is a named map type with a method.
type Registry map[string]*rec

// Name makes Registry fit the interface namer.
func (r Registry) Name() string { return "registry" + strconv.Itoa(len(r)) }

func word(i int) string { return "key-" + strconv.Itoa(i) }

func newRec(i int) *rec { return &rec{id: i, name: word(i)} }

var anchors [4096]byte

func anchor(i int) unsafe.Pointer { return unsafe.Pointer(&anchors[i%len(anchors)]) }

const all = 1 << 30 // keys of this type can be as many as wanted

func matrix() {
	grid("int-int", all, true, func(i int) int { return i * 7919 }, func(i int) int { return i })
	grid("int8-int8", 100, false, func(i int) int8 { return int8(i) }, func(i int) int8 { return int8(i) })
	grid("int16-uint16", 9000, false, func(i int) int16 { return int16(i) }, func(i int) uint16 { return uint16(i) })
	grid("int32-int32", all, true, func(i int) int32 { return int32(i * 31) }, func(i int) int32 { return int32(i) })
	grid("int64-bool", all, true, func(i int) int64 { return int64(i) << 20 }, func(i int) bool { return i&1 == 0 })
	grid("uint8-bool", 100, false, func(i int) uint8 { return uint8(i) }, func(i int) bool { return i&1 == 0 })
	grid("uint16-int8", 9000, false, func(i int) uint16 { return uint16(i) }, func(i int) int8 { return int8(i) })
	grid("uint32-float32", all, false, func(i int) uint32 { return uint32(i) }, func(i int) float32 { return float32(i) })
	grid("uint64-uint64", all, true, func(i int) uint64 { return uint64(i) * 0x9e3779b97f4a7c15 }, func(i int) uint64 { return uint64(i) })
	grid("uintptr-uintptr", all, false, func(i int) uintptr { return uintptr(i) }, func(i int) uintptr { return uintptr(i) })
	grid("string-int", all, true, word, func(i int) int { return i })
	grid("string-string", all, true, word, word)
	grid("int-string", all, false, func(i int) int { return i }, word)
	grid("string-empty", all, true, word, func(int) struct{} { return struct{}{} })
	grid("int-empty", all, false, func(i int) int { return i }, func(int) struct{} { return struct{}{} })
	grid("float64-float64", all, false, func(i int) float64 { return float64(i) / 3 }, func(i int) float64 { return float64(i) })
	grid("float32-complex128", all, false, func(i int) float32 { return float32(i) }, func(i int) complex128 { return complex(float64(i), 1) })
	grid("complex64-int", all, false, func(i int) complex64 { return complex(float32(i), 2) }, func(i int) int { return i })
	grid("bool-int", 2, false, func(i int) bool { return i&1 == 1 }, func(i int) int { return i })
	grid("empty-int", 1, false, func(int) struct{} { return struct{}{} }, func(i int) int { return i })
	grid("empty-empty", 1, false, func(int) struct{} { return struct{}{} }, func(int) struct{} { return struct{}{} })
	grid("bigkey-int", all, false, func(i int) bigKey { return bigKey{id: i} }, func(i int) int { return i })
	grid("int-bigelem", all, false, func(i int) int { return i }, func(i int) bigElem { return bigElem{name: word(i), link: newRec(i)} })
	grid("bigkey-bigelem", all, false, func(i int) bigKey { return bigKey{id: i} }, func(i int) bigElem { return bigElem{name: word(i)} })
	grid("128-128", all, false, func(i int) edge128 { return edge128{[128]byte{byte(i), byte(i >> 8)}} }, func(i int) edge128 { return edge128{} })
	grid("129-129", all, false, func(i int) edge129 { return edge129{[129]byte{byte(i), byte(i >> 8)}} }, func(i int) edge129 { return edge129{} })
	grid("int-any", all, false, func(i int) int { return i }, func(i int) any {
		switch i % 3 {
		case 0:
			return i
		case 1:
			return newRec(i)
		}
		return word(i)
	})
	grid("string-namer", all, false, word, func(i int) namer { return newRec(i) })
	grid("string-error", all, false, word, func(i int) error { return nil })
	grid("ptr-int", all, false, newRec, func(i int) int { return i })
	grid("string-ptr", all, true, word, newRec)
	grid("array-string", all, false, func(i int) [4]int { return [4]int{i, 1, 2, 3} }, word)
	grid("bytes-ptrs", all, false, func(i int) [16]byte { return [16]byte{byte(i), byte(i >> 8)} }, func(i int) [3]*rec { return [3]*rec{newRec(i)} })
	grid("strings-int", all, false, func(i int) [2]string { return [2]string{word(i), "x"} }, func(i int) int { return i })
	grid("pair-padded", all, false, func(i int) pair { return pair{int32(i), word(i)} }, func(i int) padded { return padded{b: uint32(i)} })
	grid("padded-pair", all, false, func(i int) padded { return padded{a: 1, b: uint32(i)} }, func(i int) pair { return pair{b: word(i)} })
	grid("string-ints", all, false, word, func(i int) []int { return make([]int, i%5) })
	grid("string-chan", all, false, word, func(i int) chan int { return make(chan int, i%3) })
	grid("string-func", all, false, word, func(i int) func(int) int { return func(j int) int { return i + j } })
	grid("chan-string", all, false, func(int) chan int { return make(chan int) }, word)
	grid("unsafe-int", 4000, false, anchor, func(i int) int { return i })
	grid("rune-strings", all, false, func(i int) rune { return rune(i) }, func(i int) []string { return []string{word(i)} })
	grid("anonymous", all, false, func(i int) struct{ x, y int16 } { return struct{ x, y int16 }{int16(i), 1} }, func(i int) *int { return &i })
	gridNamed()
	interfaceKeys()
}
