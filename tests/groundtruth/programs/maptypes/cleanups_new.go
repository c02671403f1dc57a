//go:build go1.24

package main

import (
	"runtime"

	"truth/probe"
)

var gCleaned = new([4]int)

// cleanups: from 1.24 the argument of a cleanup is kept alive by a special of the span.
func cleanups() {
	runtime.AddCleanup(gCleaned, func(m map[string]int) { gCleanupSeen += len(m) }, probe.Add("cleanup/argument", "cleanup", strings(15)))
	captured := probe.Add("cleanup/closure", "cleanup", strings(16))
	runtime.AddCleanup(gCleaned, func(int) { gCleanupSeen += len(captured) }, 1)
}
