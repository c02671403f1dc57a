//go:build !go1.24

package main

import (
	"reflect"
	"sync"
	"unsafe"

	"truth/probe"
)

// noteSync adds the maps of a sync.Map: read.m and dirty (sync/map.go). read is an atomic.Value in 1.19 and an
// atomic.Pointer later; both end in the pointer to readOnly, whose first field is the map.
func noteSync(name string, m *sync.Map) {
	t := reflect.TypeOf(m).Elem()
	read, _ := t.FieldByName("read")
	dirty, _ := t.FieldByName("dirty")
	mt := reflect.Zero(dirty.Type).Interface() // the map type is the first word of the interface
	descriptor := *(*uintptr)(unsafe.Pointer(&mt))
	last := read.Offset + read.Type.Size() - 8
	if ro := *(*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(m), last)); ro != nil {
		if at := *(*uintptr)(ro); at != 0 {
			probe.AddRaw("sync/"+name+"/read.m", "sync-internal", dirty.Type.String(), descriptor, at)
		}
	}
	if at := *(*uintptr)(unsafe.Add(unsafe.Pointer(m), dirty.Offset)); at != 0 {
		probe.AddRaw("sync/"+name+"/dirty", "sync-internal", dirty.Type.String(), descriptor, at)
	}
}
