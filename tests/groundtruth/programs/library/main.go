// Package main is a library for C programs: it fills its maps when C calls it, prints where they lie, and waits.
package main

import "C"

import (
	"strconv"

	"truth/probe"
)

type rec struct {
	name string
	next *rec
}

var (
	words map[string]int
	recs  map[string]*rec
	boxed any
)

//export Run
func Run() {
	words = probe.Add("words", "global", make(map[string]int))
	recs = probe.Add("recs", "global", make(map[string]*rec))
	given := probe.Add("boxed", "any", make(map[int]*rec))
	for i := 0; i < 600; i++ {
		name := strconv.Itoa(i)
		words[name], recs[name], given[i] = i, &rec{name: name}, &rec{name: name}
	}
	boxed = given
	probe.Settle()
	probe.Report(nil)
}

func main() {}
