package main

import (
	"os"
	"strconv"
	"sync"
	"time"

	"truth/probe"
)

// The matrix: goroutines blocked in the middle of a range in every way, over a map that has then grown, has been emptied,
// or has been dropped. All of them at once; they end one after the other, and HeapAlloc tells what each was worth.

// blocks are ways to wait. Each lets the maker know when it is about to.
var blocks = []struct {
	name string
	wait func(g *gate)
}{
	{"receive", func(g *gate) { g.wait() }},
	{"send", func(g *gate) {
		if g.first() {
			out := make(chan int)
			go func() { <-g.pass; <-out }()
			close(g.ready)
			out <- 1
		}
	}},
	{"select", func(g *gate) {
		if g.first() {
			close(g.ready)
			select {
			case <-g.pass:
			case <-g.never:
			}
		}
	}},
	{"mutex", func(g *gate) {
		if g.first() {
			lock := new(sync.Mutex)
			lock.Lock()
			go func() { <-g.pass; lock.Unlock() }()
			close(g.ready)
			lock.Lock()
		}
	}},
	{"sleep", func(g *gate) {
		if g.first() {
			close(g.ready)
			for !g.opened() {
				time.Sleep(20 * time.Millisecond)
			}
		}
	}},
	{"group", func(g *gate) {
		if g.first() {
			group := new(sync.WaitGroup)
			group.Add(1)
			go func() { <-g.pass; group.Done() }()
			close(g.ready)
			group.Wait()
		}
	}},
}

// first says whether this is the first turn of the loop, and who runs it.
func (g *gate) first() bool {
	if g.begun {
		return false
	}
	g.begun, g.id = true, goid()
	return true
}

func (g *gate) opened() bool {
	select {
	case <-g.pass:
		return true
	default:
		return false
	}
}

// box hands a map over to the one who loops: nobody else keeps it.
type box[V any] struct{ m map[uint64]V }

func (b *box[V]) take() map[uint64]V {
	m := b.m
	b.m = nil
	return m
}

//go:noinline
func rangeOver[V any](m map[uint64]V, g *gate, block func(*gate)) {
	for range m {
		block(g)
	}
}

//go:noinline
func loopsIn[V any](b *box[V], g *gate, block func(*gate)) {
	rangeOver(b.take(), g, block)
	close(g.done)
}

// loopsDeferred has its loop in a deferred function, run by a return or by a panic.
//
//go:noinline
func loopsDeferred[V any](b *box[V], g *gate, panics bool) {
	defer close(g.done)
	defer func() {
		rangeOver(b.take(), g, (*gate).wait)
		recover()
	}()
	if panics {
		panic("on purpose")
	}
}

// enlarged adds entries until no array of the first map is in use.
func enlarged(m map[uint64]wide) {
	for i := uint64(entries + 1); i <= 4*entries; i++ {
		m[i] = wide{i}
	}
	settled(m)
}

// fates are what happens to the map once the loop stands. loop starts the goroutine.
var fates = []struct {
	name string
	run  func(g *gate, loops func(numbers *box[wide], payloads *box[*payload])) uintptr
}{
	{"grown", func(g *gate, loops func(*box[wide], *box[*payload])) uintptr {
		m := numbers()
		loops(&box[wide]{m}, nil)
		<-g.ready
		enlarged(m)
		keep = append(keep, m)
		return probe.Word(&m)
	}},
	{"emptied", func(g *gate, loops func(*box[wide], *box[*payload])) uintptr {
		m := payloads()
		loops(nil, &box[*payload]{m})
		<-g.ready
		emptied(m)
		keep = append(keep, m)
		return probe.Word(&m)
	}},
	{"dropped", func(g *gate, loops func(*box[wide], *box[*payload])) uintptr {
		address := hands(loops)
		<-g.ready
		return address
	}},
}

// hands makes a map and hands it to a loop; its frame is gone afterwards.
//
//go:noinline
func hands(loops func(*box[wide], *box[*payload])) uintptr {
	m := payloads()
	address := probe.Word(&m)
	loops(nil, &box[*payload]{m})
	return address
}

// place is one goroutine of the matrix.
type place struct {
	kind, fate string
	subject    uintptr
	gate       *gate
	worth      int64
	goroutine  uint64
}

// starters are the ways to run a loop: every way to wait, deferred functions, and what the release has besides.
func starters(g *gate) map[string]func(*box[wide], *box[*payload]) {
	all := map[string]func(*box[wide], *box[*payload]){
		"deferred": func(n *box[wide], p *box[*payload]) {
			if n != nil {
				go loopsDeferred(n, g, false)
			} else {
				go loopsDeferred(p, g, false)
			}
		},
		"panicking": func(n *box[wide], p *box[*payload]) {
			if n != nil {
				go loopsDeferred(n, g, true)
			} else {
				go loopsDeferred(p, g, true)
			}
		},
	}
	for _, one := range blocks {
		block := one.wait
		all[one.name] = func(n *box[wide], p *box[*payload]) {
			if n != nil {
				go loopsIn(n, g, block)
			} else {
				go loopsIn(p, g, block)
			}
		}
	}
	if pull := pulls(g); pull != nil {
		all["pull"] = pull
	}
	return all
}

// kinds lists them in order.
var kinds = []string{"receive", "send", "select", "mutex", "sleep", "group", "deferred", "panicking", "pull"}

func matrix() []*place {
	var all []*place
	for _, kind := range kinds {
		for _, fate := range fates {
			g := newGate()
			loops := starters(g)[kind]
			if loops == nil || (kind == "pull" && fate.name == "dropped") { // nothing could end that one: mode "pull"
				continue
			}
			one := &place{kind: kind, fate: fate.name, gate: g}
			one.subject = fate.run(g, loops)
			all = append(all, one)
		}
	}
	for _, fate := range syncFates {
		g := newGate()
		one := &place{kind: "syncmap", fate: fate.name, gate: g}
		one.subject = fate.run(g)
		all = append(all, one)
	}
	return all
}

// runMatrix is main for this mode.
func runMatrix() {
	for i := 0; i < 2; i++ { // what is allocated once and for all is there from then on
		for _, one := range matrix() {
			one.gate.open()
		}
		keep = nil
		settledLive()
	}
	all := matrix()
	probe.Settle()
	probe.Report(func() {
		probe.Text("mode", "matrix")
		for _, one := range all {
			name := one.kind + "-" + one.fate
			probe.Number(name, uint64(one.subject))
			probe.Number(name+"-goroutine", one.gate.id)
		}
	})
	for _, one := range all {
		before := settledLive()
		one.gate.open()
		one.worth = int64(before) - int64(settledLive())
	}
	for _, one := range all {
		os.Stdout.WriteString(one.kind + "-" + one.fate + " " + strconv.FormatInt(one.worth, 10) + "\n")
	}
}
