// Command linkshared is a program that is linked against a library which has the Go runtime.
package main

import (
	"runtime"
	"strconv"

	"truth/probe"
)

type rec struct{ name string }

var (
	words map[string]int
	recs  map[string]*rec
	boxed any
)

func main() {
	words = probe.Add("words", "global", make(map[string]int))
	recs = probe.Add("recs", "global", make(map[string]*rec))
	given := probe.Add("boxed", "any", make(map[int]*rec))
	for i := 0; i < 600; i++ {
		name := strconv.Itoa(i)
		words[name], recs[name], given[i] = i, &rec{name}, &rec{name}
	}
	boxed = given
	probe.Settle()
	probe.Report(nil)
	runtime.KeepAlive(boxed)
}
