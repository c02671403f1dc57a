// Package main is a plugin: its types, variables, methods and goroutines are in a module of their own.
package main

import (
	"runtime"
	"strconv"

	"truth/probe"
)

// Only is a type that no other module has.
type Only struct {
	label string
	next  *Only
	count int
}

type color uint16

type key struct {
	a int32
	b string
}

type shelf struct {
	before [3]int
	maps   []map[color]*Only
}

// Rows makes the itab of probe.Lister one of the plugin's.
func (s *shelf) Rows() int { return len(s.maps) }

// Held is looked up by its name or not at all.
var Held map[string]*Only

var (
	quiet  map[key]int
	common map[string]int // the program has this type too
	inside struct {
		label string
		m     map[color][3]Only
	}
	literal = map[string]Only{"a": {"x", nil, 1}, "b": {"y", nil, 2}}
	chain   *Only
	lister  probe.Lister
	started = make(chan uint64)
	never   = make(chan struct{})
	ranged  map[color]*Only
)

func word(i int) string { return "key-" + strconv.Itoa(i) }

func colors(n int) map[color]*Only {
	m := make(map[color]*Only)
	for i := 0; i < n; i++ {
		m[color(i)] = &Only{label: word(i)}
	}
	return m
}

// Fill fills the variables.
func Fill() {
	Held = probe.Add("plugin/held", "global", make(map[string]*Only))
	quiet = probe.Add("plugin/quiet", "global", make(map[key]int))
	common = probe.Add("plugin/common", "global", make(map[string]int))
	inside.m = probe.Add("plugin/inside", "global-struct", make(map[color][3]Only))
	for i := 0; i < 700; i++ {
		chain = &Only{word(i), chain, i}
		Held[word(i)] = chain
		quiet[key{int32(i), word(i)}] = i
		common[word(i)] = i
		inside.m[color(i)] = [3]Only{{word(i), chain, i}}
	}
	probe.Add("plugin/literal", "global", literal)
	lister = &shelf{maps: []map[color]*Only{probe.Add("plugin/itab", "interface", colors(90))}}
}

// Give hands out something that the program keeps without knowing what it is.
func Give() any {
	return &shelf{maps: []map[color]*Only{
		probe.Add("plugin/given/5", "any", colors(5)), probe.Add("plugin/given/800", "any", colors(800)),
	}}
}

// List hands out the same behind an interface with a method.
func List() []probe.Lister {
	return []probe.Lister{&shelf{maps: []map[color]*Only{probe.Add("plugin/list", "interface", colors(120))}}}
}

//go:noinline
func keyed(n int) map[key]*Only {
	m := make(map[key]*Only)
	for i := 0; i < n; i++ {
		m[key{b: word(i)}] = &Only{label: word(i)}
	}
	return probe.Add("plugin/stack", "stack", m)
}

//go:noinline
func wait(m map[key]*Only) {
	started <- probe.Goid()
	<-never
	runtime.KeepAlive(m)
}

// Wait leaves a goroutine behind that waits in the plugin's code.
func Wait() uint64 {
	go func() { wait(keyed(200)) }()
	return <-started
}

//go:noinline
func loop(m map[color]*Only) int {
	n := 0
	for _, one := range m {
		if n == 0 {
			started <- probe.Goid()
			<-never
		}
		n += one.count
	}
	return n
}

// Range leaves a goroutine behind that stands in a loop over a map which has grown since.
func Range() uint64 {
	ranged = probe.Add("plugin/ranged", "global", colors(1000))
	go loop(ranged)
	id := <-started
	for i := 0; i < 30000; i++ {
		ranged[color(i)] = nil
	}
	return id
}

func main() {}
