//go:build !go1.24

package main

import (
	"reflect"
	"sync"
	"unsafe"
)

// What sync/map.go keeps: read ends in the pointer to readOnly, whose first field is the map; a bucket of
// map[any]*entry is tophash[8], eight keys of two words, eight elems, overflow.
const (
	bucketBytes = 8 + 8*16 + 8*8 + 8
	elemsAt     = 8 + 8*16
	buckets     = 0x10
	oldbuckets  = 0x18
)

func load(p unsafe.Pointer, at uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Add(p, at)) }

// headers are those of read.m and of dirty; nil where there is none.
func headers(m *sync.Map) (read, dirty unsafe.Pointer) {
	t := reflect.TypeOf(m).Elem()
	field, _ := t.FieldByName("read")
	if ro := load(unsafe.Pointer(m), field.Offset+field.Type.Size()-8); ro != nil {
		read = load(ro, 0)
	}
	field, _ = t.FieldByName("dirty")
	return read, load(unsafe.Pointer(m), field.Offset)
}

func growing(m *sync.Map) bool {
	_, dirty := headers(m)
	return dirty != nil && load(dirty, oldbuckets) != nil
}

// each calls f with every slot in use of a map: its key, its elem, and whether it lies in the current array. A map of
// package sync grows by doubling, if at all.
func each(h unsafe.Pointer, f func(key, elem unsafe.Pointer, current bool)) {
	n, found := 1<<*(*uint8)(unsafe.Add(h, 9)), 0
	chains := func(array unsafe.Pointer, n int, current bool) {
		for i := 0; i < n; i++ {
			for b := unsafe.Add(array, i*bucketBytes); b != nil; b = load(b, bucketBytes-8) {
				for j := 0; j < 8; j++ {
					if *(*uint8)(unsafe.Add(b, j)) >= 5 { // evacuated ones are lower
						found++
						f(unsafe.Add(b, 8+16*j), unsafe.Add(b, elemsAt+8*j), current)
					}
				}
			}
		}
	}
	chains(load(h, buckets), n, true)
	if old := load(h, oldbuckets); old != nil {
		chains(old, n/2, false)
	}
	if found != *(*int)(h) {
		panic("the slots in use are not the count of the header")
	}
}

// nothing is what an entry points to that was expunged: all such entries point to it, no other does.
func nothing() unsafe.Pointer {
	var m sync.Map
	m.Store(1, 1)
	promote(&m)
	m.Delete(1)
	m.Store(2, 2)
	read, _ := headers(&m)
	var found unsafe.Pointer
	each(read, func(_, elem unsafe.Pointer, _ bool) { found = load(load(elem, 0), 0) })
	return found
}

// note writes down what the sync.Map is. An entry counts once, also where both maps have it.
func note(m *sync.Map) {
	read, dirty := headers(m)
	facts["sync_map"] = uint64(uintptr(unsafe.Pointer(m)))
	facts["read"], facts["dirty"] = uint64(uintptr(read)), uint64(uintptr(dirty))
	gone := nothing()
	seen := map[unsafe.Pointer]bool{}
	for _, h := range []unsafe.Pointer{read, dirty} {
		if h == nil {
			continue
		}
		each(h, func(_, elem unsafe.Pointer, current bool) {
			entry := load(elem, 0)
			p := load(entry, 0)
			if current && (p == nil || p == gone) {
				facts["slots"]++
			}
			if seen[entry] {
				return
			}
			seen[entry] = true
			facts["entries"]++
			if h == read {
				facts["in_read"]++
			}
			if p == nil || p == gone {
				facts["dead"]++
			}
			if p == gone {
				facts["expunged"]++
			}
		})
	}
}

// wipe clears the slots of deleted entries, so that the collector frees what only they keep.
func wipe(m *sync.Map) {
	gone := nothing()
	read, dirty := headers(m)
	for _, h := range []unsafe.Pointer{read, dirty} {
		if h == nil {
			continue
		}
		each(h, func(key, elem unsafe.Pointer, _ bool) {
			if p := load(load(elem, 0), 0); p == nil || p == gone {
				*(*any)(key) = nil
				*(*unsafe.Pointer)(elem) = nil
			}
		})
	}
}
