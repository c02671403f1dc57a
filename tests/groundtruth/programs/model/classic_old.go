//go:build !go1.24

package main

const (
	extraOffset = 0x28
	iterOffset  = 0x40 // of hiter.startBucket
)

func clearSeq(uintptr) uint64     { return 0 }
func iterClearSeq(uintptr) uint64 { return 0 }
