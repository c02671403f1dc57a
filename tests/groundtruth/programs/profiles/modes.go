package main

import (
	"reflect"
	"runtime"
	"strconv"
)

// modes: what to hold while the profiles are written.
var modes = map[string]func() any{
	"kinds":    kinds,
	"stalled":  stalled,
	"pinned":   pinned,
	"finished": finished,
	"presized": presized,

	"standing-rising": standingRising,
	"standing-still":  standingStill,
	"rising-alone":    risingAlone,
}

type big [200]byte

type point struct{ x, y int32 }

type item struct {
	name string
	next *item
}

const (
	// old is the count at which a map of 2^15 buckets grows (6.5 entries a bucket; Go 1.21: 6), plus one.
	old15 = 13 << 14
	// enough to finish any growth of that map, not enough for the next one.
	more15 = 2 << 14
)

// stallCount is the number of entries right after a map of 2^15 buckets began to grow.
func stallCount() int {
	if len(runtime.Version()) >= 6 && runtime.Version()[:6] == "go1.21" {
		return 12<<14 + 1
	}
	return old15 + 1
}

//go:noinline
func fill(m map[uint64]uint64, from, to int) {
	for i := from; i < to; i++ {
		m[uint64(i)] = uint64(i)
	}
}

//go:noinline
func stalled() any {
	m := make(map[uint64]uint64)
	fill(m, 0, stallCount())
	return m
}

//go:noinline
func finished() any {
	m := make(map[uint64]uint64)
	fill(m, 0, stallCount()+more15)
	return m
}

//go:noinline
func presized() any {
	m := make(map[uint64]uint64, stallCount()+more15)
	fill(m, 0, stallCount()+more15)
	return m
}

// pinned has a loop that stands still over the arrays from before the last growth.
//
//go:noinline
func pinned() any {
	m := make(map[uint64]uint64)
	fill(m, 0, stallCount()-10)
	at, on := make(chan bool), make(chan bool)
	go func() {
		for range m {
			at <- true
			<-on
		}
	}()
	<-at
	fill(m, stallCount()-10, stallCount()+more15)
	return []any{m, on}
}

//go:noinline
func generic[K comparable, V any](n int, key func(int) K, value V) map[K]V {
	m := map[K]V{}
	for i := 0; i < n; i++ {
		m[key(i)] = value
	}
	return m
}

func kinds() any {
	const n = 3000
	words := make([]string, n)
	for i := range words {
		words[i] = strconv.Itoa(i)
	}
	var kept []any
	keep := func(one any) { kept = append(kept, one) }

	for k := 0; k < 5; k++ {
		few := map[string]int{}
		for i := 0; i <= k; i++ {
			few[words[i]] = i
		}
		keep(few)
	}
	byString := map[string]*item{}
	byInt := map[int]int{}
	by32 := map[int32]bool{}
	byPointer := map[*item]int{}
	byPoint := map[point]string{}
	byBig := map[big]int{}
	toBig := map[int]big{}
	byBoth := map[big]big{}
	byInterface := map[any]any{}
	set := map[int8]struct{}{}
	for i := 0; i < n; i++ {
		byString[words[i]] = &item{name: words[i]}
		byInt[i] = i
		by32[int32(i)] = true
		byPointer[new(item)] = i
		byPoint[point{int32(i), 1}] = words[i]
		byBig[big{byte(i), byte(i >> 8)}] = i
		toBig[i] = big{}
		byBoth[big{byte(i), byte(i >> 8)}] = big{}
		byInterface[i] = words[i]
		set[int8(i)] = struct{}{}
	}
	keep([]any{byString, byInt, by32, byPointer, byPoint, byBig, toBig, byBoth, byInterface, set})

	hinted := make(map[int]int, n)
	hinted[1] = 1
	keep(hinted)
	filled := make(map[string]string, n)
	for i := 0; i < n; i++ {
		filled[words[i]] = words[i]
	}
	keep(filled)
	keep(clone(byInt))
	keep(generic(n, func(i int) int { return i }, "value"))
	keep(generic(n, func(i int) string { return words[i] }, 1.5))
	keep(generic(n, func(i int) *item { return &item{} }, byte(1)))

	reflected := reflect.MakeMap(reflect.TypeOf(map[string]int{}))
	for i := 0; i < n; i++ {
		reflected.SetMapIndex(reflect.ValueOf(words[i]), reflect.ValueOf(i))
	}
	keep(reflected.Interface())
	wide := reflect.MakeMapWithSize(reflect.TypeOf(map[point]big{}), 100)
	for i := 0; i < n; i++ {
		wide.SetMapIndex(reflect.ValueOf(point{int32(i), 2}), reflect.ValueOf(big{}))
	}
	keep(wide.Interface())
	return kept
}
