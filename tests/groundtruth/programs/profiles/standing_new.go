//go:build go1.23

package main

import (
	"iter"
	"maps"
	"runtime"
	"strings"
)

// From Go 1.24 on a sync.Map is a tree without a map in it.
var syncMapIsLoop = strings.HasPrefix(runtime.Version(), "go1.23") || strings.Contains(runtime.Version(), "nosynchashtriemap")

var pulled []any

//go:noinline
func overFunction() {
	for key := range maps.Keys(one) {
		total += int(key)
		stop()
	}
}

func standMore() {
	stand("overFunction", true, "", overFunction)
	next, end := iter.Pull(maps.Keys(one))
	next()
	pulled = append(pulled, next, end)
}
