//go:build go1.27

package main

// strides of the keys and elems of a group: abi.MapType.
func strides() (keys, keyStride, elems, elemStride uintptr) {
	return uintptr(u64(descr + 0x58)), uintptr(u64(descr + 0x60)), uintptr(u64(descr + 0x68)), uintptr(u64(descr + 0x70))
}
