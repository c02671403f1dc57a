//go:build go1.24 && !go1.26 && !goexperiment.swissmap

package main

// hmap has clearSeq before extra, and hiter has one at its end.
const (
	extraOffset = 0x30
	iterOffset  = 0x40
)

func clearSeq(h uintptr) uint64      { return u64(h + 0x28) }
func iterClearSeq(it uintptr) uint64 { return u64(it + iterOffset + 32) }
