package main

import (
	"sync"
)

// filled is a sync.Map with entries that weigh something, all of them in the map that it reads without a lock.
func filled() *sync.Map {
	m := new(sync.Map)
	for i := uint64(1); i <= entries; i++ {
		m.Store(i, new(payload))
	}
	promoted(m)
	return m
}

// promoted makes the map that was written to the one that is read (sync/map.go: missLocked; from 1.24 nothing).
func promoted(m *sync.Map) {
	m.Range(func(any, any) bool { return false })
}

//go:noinline
func rangesSync(m *sync.Map, g *gate) {
	m.Range(func(any, any) bool {
		g.wait()
		return true
	})
}

//go:noinline
func loopsSync(b *syncBox, g *gate) {
	m := b.m
	b.m = nil
	rangesSync(m, g)
	close(g.done)
}

type syncBox struct{ m *sync.Map }

// syncFates are what happens to a sync.Map whose Range is blocked. What it then reads without a lock is another map.
var syncFates = []struct {
	name string
	run  func(g *gate) uintptr
}{
	{"grown", func(g *gate) uintptr {
		m := filled()
		subject := readMap(m)
		go loopsSync(&syncBox{m}, g)
		<-g.ready
		for i := uint64(entries + 1); i <= 2*entries; i++ {
			m.Store(i, (*payload)(nil))
		}
		promoted(m)
		keep = append(keep, m)
		return subject
	}},
	{"emptied", func(g *gate) uintptr {
		m := filled()
		subject := readMap(m)
		go loopsSync(&syncBox{m}, g)
		<-g.ready
		for i := uint64(1); i <= entries; i++ {
			m.Delete(i)
		}
		m.Store(uint64(0), (*payload)(nil))
		promoted(m)
		keep = append(keep, m)
		return subject
	}},
	{"dropped", func(g *gate) uintptr {
		subject := handsSync(g)
		<-g.ready
		return subject
	}},
}

//go:noinline
func handsSync(g *gate) uintptr {
	m := filled()
	subject := readMap(m)
	go loopsSync(&syncBox{m}, g)
	return subject
}
