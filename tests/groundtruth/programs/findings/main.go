// Command findings makes one state of a map that holds memory for nothing, measures by the runtime's own HeapAlloc how
// much a twin of that map gives back when it is mended, and waits. `findings healthy` makes states that only look alike.
package main

import (
	"os"
	"runtime"

	"truth/probe"
)

var (
	subject  uintptr // header of the map that the finding is about; 0 in a healthy program
	measured uint64  // bytes that a twin of it gave back
	counted  uint64  // bytes known by counting, where measuring gives more than the rule means
	keep     []any
)

func live() uint64 {
	var figures runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&figures)
	return figures.HeapAlloc
}

// twins makes the map twice: one is mended, to measure what that gives back, and dropped; the other stays.
//
//go:noinline
func twins[M any](name string, make func() M, mend func(M) M) M {
	stays := probe.Add(name, "any", make())
	subject = probe.Word(&stays)
	mended := make()
	before := live()
	mended = mend(mended)
	after := live()
	runtime.KeepAlive(mended)
	measured = before - after
	keep = append(keep, stays)
	return stays
}

// itself makes the map once and measures it, then a mended copy beside it, and drops the copy: what mending would save on
// this very map.
//
//go:noinline
func itself[M any](name string, make func() M, mended func(M) M) {
	start := live()
	m := make()
	with := live()
	other := mended(m)
	both := live()
	runtime.KeepAlive(other)
	measured = (with - start) - (both - with)
	keep = append(keep, probe.Add(name, "any", m))
	subject = probe.Word(&m)
}

func main() {
	mode := "healthy"
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	switch mode {
	case "stalled":
		stalled()
	case "same-size":
		sameSize()
	case "stale":
		stale()
	case "halfway":
		halfway()
	case "sparse":
		sparse()
	case "hinted":
		hinted()
	case "overflow":
		overflow()
	case "churn":
		churn()
	case "inline":
		inline()
	case "substrings":
		substrings()
	case "healthy":
		healthy()
	default:
		os.Stderr.WriteString("no such mode: " + mode + "\n")
		os.Exit(2)
	}
	probe.Settle()
	probe.Report(func() {
		probe.Text("mode", mode)
		probe.Number("subject", uint64(subject))
		probe.Number("measured", measured)
		probe.Number("counted", counted)
	})
	runtime.KeepAlive(keep)
}
