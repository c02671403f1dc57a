//go:build !go1.24

package main

import (
	"reflect"
	"sync"
	"unsafe"
)

// readMap is the address of the header of read.m (sync/map.go). read is an atomic.Value in 1.19 and an atomic.Pointer
// later; both end in the pointer to readOnly, whose first field is the map.
func readMap(m *sync.Map) uintptr {
	read, _ := reflect.TypeOf(m).Elem().FieldByName("read")
	last := read.Offset + read.Type.Size() - 8
	ro := *(*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(m), last))
	return *(*uintptr)(ro)
}
