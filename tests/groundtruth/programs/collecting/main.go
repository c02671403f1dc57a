// Command collecting collects its garbage without a rest, while others make more of it: cores of it are taken in the middle
// of all that, where allocation, marking and sweeping stand half way. Its own maps do not change and are the truth.
package main

import (
	"runtime"
	"strconv"

	"truth/probe"
)

type node struct {
	left, right *node
	name        string
}

type record struct {
	name string
	next *record
	all  map[uint32]*record
}

var (
	tree    *node
	small   = map[string]int{}
	large   = map[string]*record{}
	numbers = map[int64]int64{}
	nested  = map[string]map[int32]string{}
	shrunk  = map[int]string{}
	empty   = map[bool]bool{}
	sink    [4]any
	unnamed uint64 // maps of records that the document does not list
)

func grow(depth int) *node {
	if depth == 0 {
		return nil
	}
	return &node{grow(depth - 1), grow(depth - 1), strconv.Itoa(depth)}
}

func makeMaps() {
	small["one"] = 1
	var last *record
	for i := 0; i < 20000; i++ {
		last = &record{name: strconv.Itoa(i), next: last, all: map[uint32]*record{}}
		large[last.name] = last
		if i%50 != 0 {
			unnamed++
		} else {
			probe.Add("large."+last.name, "struct", last.all)
			last.all[uint32(i)] = last
		}
	}
	for i := int64(0); i < 100000; i++ {
		numbers[i] = -i
	}
	for i := 0; i < 300; i++ {
		one := map[int32]string{}
		for k := 0; k < i; k++ {
			one[int32(k)] = strconv.Itoa(k)
		}
		nested[strconv.Itoa(i)] = one
		probe.Add("nested."+strconv.Itoa(i), "map", one)
	}
	for i := 0; i < 50000; i++ {
		shrunk[i] = strconv.Itoa(i)
	}
	for i := 0; i < 49000; i++ {
		delete(shrunk, i)
	}
	probe.Add("small", "global", small)
	probe.Add("large", "global", large)
	probe.Add("numbers", "global", numbers)
	probe.Add("nested", "global", nested)
	probe.Add("shrunk", "global", shrunk)
	probe.Add("empty", "global", empty)
}

// litter makes maps that nobody keeps for long, of types that no other map here has.
func litter(me int) {
	for round := 0; ; round++ {
		one := map[uint16][3]*node{}
		for i := 0; i < round%200; i++ {
			one[uint16(i)] = [3]*node{{name: strconv.Itoa(i)}}
		}
		sink[me] = one
		other := map[uint8]*node{}
		for i := 0; i < round%60; i++ {
			other[uint8(i)] = &node{}
		}
		sink[me+2] = make([]*node, round%5000)
		runtime.KeepAlive(other)
	}
}

func collect() {
	for {
		runtime.GC()
	}
}

func main() {
	tree = grow(18)
	makeMaps()
	probe.Settle()
	probe.Report(func() {
		probe.Number("unnamed", unnamed)
		go litter(0)
		go litter(1)
		go collect()
	})
}
