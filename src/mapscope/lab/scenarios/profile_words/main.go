// Heap profiles of a program full of maps: which names are in them, with every allocation sampled.
package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"runtime"
	"runtime/pprof"
	"strings"
)

//go:noinline
func fill() map[uint64]uint64 {
	m := make(map[uint64]uint64)
	keys := random(1)
	for i := 0; i < 60_000 || (classic && !growing(m)); i++ {
		m[keys.next()] = 1
	}
	return m
}

func main() {
	runtime.MemProfileRate = 1
	for i := 0; i < 8; i++ {
		keep = append(keep, fill())
	}
	runtime.GC()
	runtime.GC()
	runtime.GC()
	var text, packed bytes.Buffer
	pprof.Lookup("heap").WriteTo(&text, 1)
	pprof.Lookup("heap").WriteTo(&packed, 0)
	unpacked, err := gzip.NewReader(&packed)
	if err != nil {
		panic(err)
	}
	proto, err := io.ReadAll(unpacked)
	if err != nil {
		panic(err)
	}
	for _, word := range []string{
		"main.fill", "runtime.bmap", "map.bucket", "runtime.mapassign", "runtime.hashGrow", "runtime.evacuate",
		"internal/runtime/maps.",
	} {
		say(word+" in text", uint64(strings.Count(text.String(), word)))
		say(word+" in proto", uint64(bytes.Count(proto, []byte(word))))
	}
	ready()
}
