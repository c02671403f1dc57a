//go:build go1.24 && (go1.26 || goexperiment.swissmap)

package main

import (
	"reflect"
	"unsafe"
)

// The Swiss map: Map, table, group and Iter in internal/runtime/maps.

const none = ^uint64(0)

var (
	tables []unsafe.Pointer // every table that the directory ever named; they stay, so that no address comes twice
	small  unsafe.Pointer   // the group of a map without tables
)

func seed() uint64 { return u64(header + 8) }

func start() { tables, small = nil, nil }

func number(table uintptr) uint64 {
	for i, one := range tables {
		if uintptr(one) == table {
			return uint64(i)
		}
	}
	tables = append(tables, at(table))
	return uint64(len(tables) - 1)
}

func state() []uint64 {
	m := header
	dir, n := ptr(m+0x10), u64(m+0x18)
	list := []uint64{
		u64(m), u64(m + 8), bit(dir != 0), n, u8(m + 0x20), u8(m + 0x21), u8(m + 0x22), u8(m + 0x23), u64(m + 0x28),
	}
	if n == 0 {
		small = at(dir)
		return list
	}
	last := uintptr(0)
	for i := uintptr(0); i < uintptr(n); i++ {
		t := ptr(dir + 8*i)
		list = append(list, number(t))
		if t != last {
			list = append(list, u16(t), u16(t+2), u16(t+4), u8(t+6), u64(t+8), u64(t+0x18))
		}
		last = t
	}
	return list
}

// look writes every group.
func look() {
	dir, n := ptr(header+0x10), u64(header+0x18)
	text(",\"tables\":[")
	if n == 0 && dir != 0 {
		groups(dir, 1)
	}
	last := uintptr(0)
	for i := uintptr(0); i < uintptr(n); i++ {
		t := ptr(dir + 8*i)
		if t == last {
			continue
		}
		if last != 0 {
			text(",")
		}
		groups(ptr(t+0x10), ptr(t+0x18)+1)
		last = t
	}
	text("]")
}

func groups(first, n uintptr) {
	text("[")
	for i := uintptr(0); i < n; i++ {
		if i > 0 {
			text(",")
		}
		group(first + i*groupSize())
	}
	text("]")
}

func groupSize() uintptr { return uintptr(u64(descr + 0x50)) }

func group(g uintptr) {
	text("[")
	eight(g)
	text(",")
	keys, keyStride, elems, elemStride := strides()
	slots(subject.key, g+keys, keyStride)
	text(",")
	slots(subject.elem, g+elems, elemStride)
	text("]")
}

// iterator writes an Iter and the group in which it stands.
func iterator(m *reflect.MapIter) {
	it := uintptr(unsafe.Pointer(m)) + unsafe.Sizeof(reflect.Value{})
	entry(m, ptr(it))
	table, index := none, none
	if t := ptr(it + 0x48); t != 0 {
		table, index = number(t), u64(t+8)
	}
	list("iter", []uint64{
		bit(ptr(it+0x18) != 0), u64(it + 0x20), u64(it + 0x28), u64(it + 0x30), u8(it + 0x38), u64(it + 0x40),
		table, index, place(ptr(it+0x48), ptr(it+0x50)), u64(it + 0x58),
	})
	text(",\"group\":")
	if g := ptr(it + 0x50); g != 0 {
		group(g)
	} else {
		text("null")
	}
}

// drawn is what an iterator drew when it began.
func drawn(m *reflect.MapIter) []uint64 {
	it := uintptr(unsafe.Pointer(m)) + unsafe.Sizeof(reflect.Value{})
	return []uint64{u64(it + 0x20), u64(it + 0x28)}
}

// place is the index of a group in a table.
func place(t, g uintptr) uint64 {
	if t == 0 || g == 0 {
		return none
	}
	return uint64((g - ptr(t+0x10)) / groupSize())
}
