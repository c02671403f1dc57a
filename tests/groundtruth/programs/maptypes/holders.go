package main

import (
	"sync/atomic"

	"truth/probe"
)

// Closures, method values, interfaces, maps in maps, atomics: the holders that are neither variables nor stacks.

type worker struct {
	name string
	step func(string) int
	list []func() int
}

type cache struct {
	hits  int
	items map[string]*rec
}

func (c *cache) Lookup(k string) *rec { return c.items[k] }

func (c cache) Size() int { return len(c.items) + c.hits }

type sized interface{ Size() int }

type boxed struct { // a struct of one pointer word: the interface word is the map itself
	only map[string]int
}

type config struct {
	version int
	routes  map[string]string
}

type owner struct {
	id   int
	held map[string]int
}

var (
	gFunc       func(string) int
	gWorker     *worker
	gMethod     func(string) *rec
	gMethodCopy func() int
	gAny        any
	gAnyBoxed   any
	gAnyStruct  any
	gNamer      namer
	gSized      sized
	gSizedValue sized
	gInMap      map[string]owner
	gKeys       map[*owner]int
	gAnyKeys    map[any]any
	gSlices     map[string][]map[string]int
	gArrays     map[int][2]map[string]int
	gConfig     atomic.Pointer[config]
	gValue      atomic.Value
	gValueMap   atomic.Value
)

func counter(name string, n int) func(string) int {
	m := probe.Add(name, "closure", strings(n))
	return func(k string) int {
		m[k]++
		return m[k]
	}
}

func holders() {
	gFunc = counter("closure/global/8", 8)
	gWorker = &worker{name: "w", step: counter("closure/field/9", 9)}
	for _, n := range []int{0, 3, 50} {
		m := probe.Add("closure/slice/"+word(n), "closure", words(n))
		calls := 0
		gWorker.list = append(gWorker.list, func() int { calls++; return len(m) + calls })
	}
	outer := probe.Add("closure/nested", "closure", recs(20))
	inner := func() int { return len(outer) }
	gWorker.list = append(gWorker.list, func() int { return inner() + 1 })

	gMethod = (&cache{items: probe.Add("method/pointer", "method-value", recs(30))}).Lookup
	gMethodCopy = cache{items: probe.Add("method/value", "method-value", recs(4))}.Size

	gAny = probe.Add("any/map", "any", strings(5))
	gAnyBoxed = boxed{probe.Add("any/boxed", "any", strings(6))}
	gAnyStruct = owner{1, probe.Add("any/struct", "any", strings(7))}
	registry := Registry(recs(3))
	gNamer = probe.Add("interface/named", "interface", registry)
	gSized = &cache{items: probe.Add("interface/pointer", "interface", recs(10))}
	gSizedValue = cache{items: probe.Add("interface/value", "interface", recs(2))}

	gInMap = probe.Add("elems/struct", "global", make(map[string]owner))
	gKeys = probe.Add("keys/pointers", "global", make(map[*owner]int))
	gAnyKeys = probe.Add("keys/any", "global", make(map[any]any))
	gSlices = probe.Add("elems/slices", "global", make(map[string][]map[string]int))
	gArrays = probe.Add("elems/arrays", "global", make(map[int][2]map[string]int))
	for i := 0; i < 12; i++ {
		name := word(i)
		gInMap[name] = owner{i, probe.Add("elems/struct/"+name, "elem", strings(i))}
		gKeys[&owner{i, probe.Add("keys/pointers/"+name, "key", strings(i))}] = i
		gAnyKeys[&owner{i, probe.Add("keys/any/"+name, "any", strings(i))}] = probe.Add("keys/any/elem/"+name, "any", words(i))
		gSlices[name] = []map[string]int{nil, probe.Add("elems/slices/"+name, "elem", strings(i))}
		gArrays[i] = [2]map[string]int{1: probe.Add("elems/arrays/"+name, "elem", strings(i))}
	}

	gConfig.Store(&config{1, probe.Add("atomic/pointer", "atomic", map[string]string{"a": "b"})})
	gValue.Store(&config{2, probe.Add("atomic/value", "atomic-value", map[string]string{"c": "d"})})
	gValueMap.Store(probe.Add("atomic/value/map", "atomic-value", map[string]string{"e": "f"}))
}
