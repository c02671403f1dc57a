package main

import (
	"reflect"
	"runtime"
	"sync"
)

// Goroutines that stand inside loops over maps, and others that only look like it. Each waits in a function of its own;
// places says of each whether it is inside a loop over a map, and over which type.

type rec struct{ a, b uint64 }

type place struct {
	Function string `json:"function"`
	Inside   bool   `json:"inside"`
	Type     string `json:"type"`
}

const growing = "map[uint64]*main.rec"

var places []place

var (
	arrived = make(chan bool)
	never   = make(chan bool)
	one     = map[uint64]*rec{1: {}, 2: {}}
	flags   = map[string]bool{"a": true, "b": true}
	shared  sync.Map
	total   int
)

//go:noinline
func stop() {
	arrived <- true
	<-never
}

func stand(function string, inside bool, kind string, wait func()) {
	places = append(places, place{"main." + function, inside, kind})
	go wait()
	<-arrived
}

//go:noinline
func insideLoop() {
	for key := range one {
		total += int(key)
		stop()
	}
}

//go:noinline
func insideWithValue() {
	for key, value := range one {
		total += int(key)
		stop()
		total += int(value.a)
	}
}

//go:noinline
func afterLoop() {
	for key := range one {
		total += int(key)
	}
	stop()
	total++
}

//go:noinline
func beforeLoop() {
	stop()
	for key := range one {
		total += int(key)
	}
}

//go:noinline
func betweenLoops() {
	for key := range one {
		total += int(key)
	}
	stop()
	for name := range flags {
		total += len(name)
	}
}

//go:noinline
func leftByBreak() {
	for key := range one {
		total += int(key)
		if key > 0 {
			break
		}
	}
	stop()
	total++
}

//go:noinline
func insideInner(parts []int) {
	for key := range one {
		for _, part := range parts {
			total += int(key) + part
			stop()
		}
	}
}

//go:noinline
func beforeInnerMap() {
	for key := range one {
		stop()
		for name := range flags {
			total += len(name) + int(key)
		}
	}
}

//go:noinline
func afterInnerMap() {
	for key := range one {
		for name := range flags {
			total += len(name) + int(key)
		}
		stop()
	}
}

//go:noinline
func overAgain() {
	for {
		stop()
		for key := range one {
			total += int(key)
		}
	}
}

//go:noinline
func overSlice(parts []int) {
	for _, part := range parts {
		total += part
		stop()
	}
}

//go:noinline
func otherType() {
	for name := range flags {
		total += len(name)
		stop()
	}
}

//go:noinline
func inSelect() {
	for key := range one {
		select {
		case arrived <- true:
			<-never
		case <-never:
			total += int(key)
		}
	}
}

//go:noinline
func deferredInside() {
	for key := range one {
		func() {
			defer stop()
			total += int(key)
		}()
	}
}

func walk(m map[uint64]*rec, visit func(uint64)) {
	for key := range m {
		visit(key)
	}
}

//go:noinline
func inlinedLoop() {
	walk(one, func(key uint64) {
		total += int(key)
		stop()
	})
}

//go:noinline
func genericLoop[K comparable, V any](m map[K]V) {
	for range m {
		stop()
	}
}

//go:noinline
func callsGeneric() { genericLoop(one) }

//go:noinline
func byReflection(m reflect.Value) {
	all := m.MapRange()
	for all.Next() {
		total++
		stop()
	}
}

//go:noinline
func inSyncMap() {
	shared.Range(func(key, value any) bool {
		stop()
		return true
	})
}

//go:noinline
func fillMore(m map[uint64]*rec, from, to int) {
	for i := from; i < to; i++ {
		m[uint64(i)] = nil
	}
}

func standAll() {
	parts := []int{1, 2}
	shared.Store(1, 2)
	shared.Range(func(key, value any) bool { return true })
	stand("insideLoop", true, growing, insideLoop)
	stand("insideWithValue", true, growing, insideWithValue)
	stand("afterLoop", false, "", afterLoop)
	stand("beforeLoop", false, "", beforeLoop)
	stand("betweenLoops", false, "", betweenLoops)
	stand("leftByBreak", false, "", leftByBreak)
	stand("insideInner", true, growing, func() { insideInner(parts) })
	stand("beforeInnerMap", true, growing, beforeInnerMap)
	stand("afterInnerMap", true, growing, afterInnerMap)
	stand("overAgain", false, "", overAgain)
	stand("overSlice", false, "", func() { overSlice(parts) })
	stand("otherType", true, "map[string]bool", otherType)
	stand("inSelect", true, growing, inSelect)
	stand("deferredInside", true, growing, deferredInside)
	stand("inlinedLoop", true, growing, inlinedLoop)
	stand("genericLoop[...]", true, "", callsGeneric)
	stand("byReflection", true, "", func() { byReflection(reflect.ValueOf(one)) })
	stand("inSyncMap", syncMapIsLoop, "", inSyncMap)
	standMore()
}

// series writes heap profiles while a map of the type that the loops are over grows, or while nothing grows.
func series(m map[uint64]*rec, step int) any {
	for i, name := range []string{"heap-1.pb.gz", "heap-2.pb.gz", "heap-3.pb.gz"} {
		fillMore(m, i*step, (i+1)*step)
		runtime.GC()
		runtime.GC()
		write(name, "heap", 0)
	}
	return m
}

func standingRising() any {
	standAll()
	return series(map[uint64]*rec{}, 200000)
}

func standingStill() any {
	standAll()
	m := map[uint64]*rec{}
	fillMore(m, 0, 200000)
	return series(m, 0)
}

func risingAlone() any {
	stand("afterLoop", false, "", afterLoop)
	stand("overAgain", false, "", overAgain)
	return series(map[uint64]*rec{}, 200000)
}
