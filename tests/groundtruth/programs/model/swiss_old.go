//go:build go1.24 && !go1.27 && (go1.26 || goexperiment.swissmap)

package main

// strides of the keys and elems of a group: abi.SwissMapType, abi.MapType.
func strides() (keys, keyStride, elems, elemStride uintptr) {
	slot, elem := uintptr(u64(descr+0x58)), uintptr(u64(descr+0x60))
	return 8, slot, 8 + elem, slot
}
