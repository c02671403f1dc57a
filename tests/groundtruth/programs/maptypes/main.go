// Command maptypes holds Go maps of many types, sizes and states, reached in every way that Go has, and prints where they
// are and what their headers say. It waits until its standard input ends, so that a core can be taken.
package main

import (
	"runtime"

	"truth/probe"
)

func main() {
	matrix()
	nested()
	globals()
	holders()
	channels()
	syncs()
	finalizers()
	decoys()
	stacks()
	probe.Settle()
	settleStacks()
	if queuedRan {
		panic("a finalizer has overtaken another")
	}
	probe.Report(reportDecoys)
	runtime.KeepAlive(keep)
}
