// A sync.Map from within (up to Go 1.23), and what it keeps when everything is deleted.
package main

import (
	"runtime"
	"sync"
)

func main() {
	sizes()
	if classic {
		within()
	}
	skips()
	locks()
	ranges()
	ready()
}

// sizes fills a sync.Map, reads it, deletes everything, and measures.
func sizes() {
	var m sync.Map
	base := settled()
	for i := 0; i < 50_000; i++ {
		m.Store(i, i)
	}
	for i := 0; i < 120_000; i++ { // misses, which promote it
		m.Load(i % 60_000)
	}
	full := settled() - base
	for i := 0; i < 50_000; i++ {
		m.Delete(i)
	}
	left := settled()
	say("full_bytes", full)
	say("bytes_after_deleting_all", gap(left, base))
	runtime.KeepAlive(&m)
}

// skips lets Range see deleted entries.
func skips() {
	var m sync.Map
	for i := 0; i < 1000; i++ {
		m.Store(i, i)
	}
	m.Range(func(k, v any) bool { return true }) // promotes it
	for i := 0; i < 1000; i += 2 {
		m.Delete(i)
	}
	seen, odd := uint64(0), uint64(0)
	m.Range(func(k, v any) bool {
		seen++
		odd += uint64(k.(int) & 1)
		return true
	})
	say("range_sees", seen)
	say("range_sees_present", odd)
}
