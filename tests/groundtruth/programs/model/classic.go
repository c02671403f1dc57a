//go:build !go1.24 || (!go1.26 && !goexperiment.swissmap)

package main

import (
	"reflect"
	"unsafe"
)

// The classic map: hmap, bmap and hiter in runtime/map.go (runtime/map_noswiss.go in 1.24 and 1.25).

const none = ^uint64(0)

var (
	arrays  []unsafe.Pointer // every bucket array that the header ever named; they stay, so that no address comes twice
	lengths []uintptr        // their buckets, with the overflow buckets made with them
)

func seed() uint64 { return u32(header + 0xc) }

func start() { arrays, lengths = nil, nil }

func bucketSize() uintptr { return uintptr(u16(descr + 0x52)) }

// number is that of a bucket array, in the order in which the header came to name them.
func number(array uintptr, b uint64) uint64 {
	if array == 0 {
		return none
	}
	for i, one := range arrays {
		if uintptr(one) == array {
			return uint64(i)
		}
	}
	arrays = append(arrays, at(array))
	lengths = append(lengths, buckets(b))
	return uint64(len(arrays) - 1)
}

// buckets is how many there are in the array for 2^b of them: append asks the allocator as makeBucketArray does.
func buckets(b uint64) uintptr {
	n := uintptr(1) << b
	if b < 4 {
		return n
	}
	words := (n + n/16) * bucketSize() / 8
	if u64(ptr(descr+0x40)+8) == 0 { // Bucket.PtrBytes
		words = uintptr(cap(append([]uint64(nil), make([]uint64, words)...)))
	} else {
		words = uintptr(cap(append([]*int(nil), make([]*int, words)...)))
	}
	return words * 8 / bucketSize()
}

// place is the array and the index in it of a bucket; the array is none for one that lies elsewhere.
func place(b uintptr) (uint64, uint64) {
	for i, one := range arrays {
		if b >= uintptr(one) && b < uintptr(one)+lengths[i]*bucketSize() {
			return uint64(i), uint64((b - uintptr(one)) / bucketSize())
		}
	}
	return none, none
}

func state() []uint64 {
	h := header
	b := u8(h + 9)
	list := []uint64{
		u64(h), u8(h + 8), b, u16(h + 0xa), u32(h + 0xc), number(ptr(h+0x10), b), number(ptr(h+0x18), b), u64(h + 0x20), clearSeq(h),
	}
	extra := ptr(h + extraOffset)
	if extra == 0 {
		return append(list, 0, none, none, none, none, none, none)
	}
	array, index := place(ptr(extra + 0x10))
	list = append(list, 1, array, index)
	list = append(list, slice(ptr(extra))...)
	return append(list, slice(ptr(extra+8))...)
}

// slice is the length and the capacity of a *[]*bmap.
func slice(p uintptr) []uint64 {
	if p == 0 {
		return []uint64{none, none}
	}
	return []uint64{u64(p + 8), u64(p + 16)}
}

// look writes every bucket with its chain.
func look() {
	text(",\"buckets\":")
	array(ptr(header+0x10), uintptr(1)<<u8(header+9))
	n := uintptr(1) << u8(header+9)
	if u8(header+8)&8 == 0 {
		n >>= 1
	}
	text(",\"oldbuckets\":")
	array(ptr(header+0x18), n)
}

func array(a, n uintptr) {
	text("[")
	for i := uintptr(0); a != 0 && i < n; i++ {
		if i > 0 {
			text(",")
		}
		text("[")
		for b := a + i*bucketSize(); b != 0; b = ptr(b + bucketSize() - 8) {
			if b != a+i*bucketSize() {
				text(",")
			}
			bucket(b)
		}
		text("]")
	}
	text("]")
}

func bucket(b uintptr) {
	_, index := place(b)
	text("[")
	num(index)
	text(",")
	eight(b)
	text(",")
	keys, elems := uintptr(u8(descr+0x50)), uintptr(u8(descr+0x51))
	slots(subject.key, b+8, keys)
	text(",")
	slots(subject.elem, b+8+8*keys, elems)
	text("]")
}

// iterator writes an hiter and the bucket in which it stands.
func iterator(m *reflect.MapIter) {
	it := uintptr(unsafe.Pointer(m)) + unsafe.Sizeof(reflect.Value{})
	entry(m, ptr(it))
	var current, old uintptr
	if extra := ptr(header + extraOffset); extra != 0 {
		current, old = ptr(extra), ptr(extra+8)
	}
	started := none // nothing of the rest is set where the map was empty
	if ptr(it+0x20) != 0 {
		started = number(ptr(it+0x20), 0)
	}
	array, index := place(ptr(it + 0x28))
	list("hiter", []uint64{
		bit(ptr(it+0x18) != 0), started, bit(ptr(it+0x28) != 0), array, index,
		same(ptr(it+0x30), current, old), same(ptr(it+0x38), current, old),
		u64(it + iterOffset), u8(it + iterOffset + 8), u8(it + iterOffset + 9), u8(it + iterOffset + 10), u8(it + iterOffset + 11),
		u64(it + iterOffset + 16), u64(it + iterOffset + 24), iterClearSeq(it),
	})
	text(",\"bptr\":")
	if b := ptr(it + 0x28); b != 0 {
		bucket(b)
	} else {
		text("null")
	}
}

// drawn is what an iterator drew when it began, with B of then.
func drawn(m *reflect.MapIter) []uint64 {
	it := uintptr(unsafe.Pointer(m)) + unsafe.Sizeof(reflect.Value{})
	return []uint64{u64(it + iterOffset), u8(it + iterOffset + 8), u8(it + iterOffset + 10)}
}

// same says which of two lists p is: 1, 2, or 3 for another; 0 for none.
func same(p, current, old uintptr) uint64 {
	switch p {
	case 0:
		return 0
	case current:
		return 1
	case old:
		return 2
	}
	return 3
}
