//go:build go1.23

package main

import "iter"

//go:noinline
func count(yield func(int) bool) {
	for i := 0; yield(i); i++ {
	}
}

var next func() (int, bool)

func pulls() {
	next, _ = iter.Pull(count)
	next()
}
