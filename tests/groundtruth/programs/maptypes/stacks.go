package main

import (
	"strconv"

	"truth/probe"
)

// Goroutines that are blocked while their frames hold the only reference to a map.

var (
	started = make(chan struct{})
	settle  = make(chan struct{}) // closed when no stack moves any more
	settled = make(chan struct{})
	forever = make(chan struct{})
	parked  int // goroutines that keep a map of their own stack
	sink    int
	sending = make(chan map[string]int)
)

//go:noinline
func launch(f func()) {
	go f()
	<-started
}

// wait tells that the goroutine is in place, then blocks.
//
//go:noinline
func wait() {
	started <- struct{}{}
	<-forever
}

//go:noinline
func waitToSettle(e *probe.Entry, address func() uintptr) {
	started <- struct{}{}
	<-settle
	e.Set(address())
	settled <- struct{}{}
	<-forever
}

//go:noinline
func holdEscaped(n int) {
	m := probe.Add("stack/escaped/"+strconv.Itoa(n), "stack", strings(n))
	wait()
	sink += len(m)
}

//go:noinline
func holdArgument(m map[uint64]uint64) {
	wait()
	sink += len(m)
}

//go:noinline
func holdDeferred(n int) {
	m := probe.Add("stack/deferred/"+strconv.Itoa(n), "stack-defer", words(n))
	defer func() { sink += len(m) }()
	wait()
}

//go:noinline
func holdStruct(n int) {
	o := owner{n, probe.Add("stack/struct/"+strconv.Itoa(n), "stack", strings(n))}
	wait()
	sink += o.id + len(o.held)
}

//go:noinline
func holdPointer(n int) {
	o := &owner{n, probe.Add("stack/pointer/"+strconv.Itoa(n), "stack-pointers", strings(n))}
	o.escape()
	wait()
	sink += o.id + len(o.held)
}

//go:noinline
func (o *owner) escape() { escaped = o; escaped = nil }

var escaped *owner

//go:noinline
func holdAny(n int) {
	var v any = owner{n, probe.Add("stack/any/"+strconv.Itoa(n), "stack-any", strings(n))}
	wait()
	sink += len(v.(owner).held)
}

// holdLocal keeps a map whose header, and up to eight entries its only group or bucket, lie on the stack.
//
//go:noinline
func holdLocal(e *probe.Entry, n int) {
	m := make(map[int]int)
	for i := 0; i < n; i++ {
		m[i] = i
	}
	waitToSettle(e, func() uintptr { return probe.Word(&m) })
	sink += total(m)
}

//go:noinline
func holdLocalStrings(e *probe.Entry, n int) {
	m := make(map[string]*rec)
	for i := 0; i < n; i++ {
		m[word(i)] = nil
	}
	waitToSettle(e, func() uintptr { return probe.Word(&m) })
	sink += len(m) + one(m)
}

//go:noinline
func total(m map[int]int) (sum int) {
	for _, v := range m {
		sum += v
	}
	return sum
}

//go:noinline
func one(m map[string]*rec) int {
	for _, r := range m {
		if r != nil {
			return r.id
		}
	}
	return 0
}

func stacks() {
	for _, n := range []int{1, 8, 9, 300} {
		n := n
		launch(func() { holdEscaped(n) })
		launch(func() { holdArgument(probe.Add("stack/argument/"+strconv.Itoa(n), "stack", words(n))) })
		launch(func() { holdDeferred(n) })
		launch(func() { holdStruct(n) })
		launch(func() { holdPointer(n) })
		launch(func() { holdAny(n) })
		small := probe.AddOnStack[map[int]int]("stack/local/"+strconv.Itoa(n), "stack-local")
		launch(func() { holdLocal(small, n) })
		text := probe.AddOnStack[map[string]*rec]("stack/local-strings/"+strconv.Itoa(n), "stack-local")
		launch(func() { holdLocalStrings(text, n) })
		parked += 2
	}
	// a goroutine blocked while it sends a map: only its frame and its sudog hold it
	sent := probe.Add("stack/sending", "stack-send", strings(10))
	go func(m map[string]int) {
		started <- struct{}{}
		sending <- m
	}(sent)
	<-started
	// closures started as goroutines
	captured := probe.Add("stack/captured", "stack-closure", recs(10))
	launch(func() {
		wait()
		sink += len(captured)
	})
}

// settleStacks lets the goroutines with maps of their own stack say where those are. No collection follows, so that no
// stack shrinks.
func settleStacks() {
	close(settle)
	for i := 0; i < parked; i++ {
		<-settled
	}
}
