// What every scenario has: a program reads the headers of its own maps through unsafe, counts, and prints one JSON document
// about it; then it says READY and waits until its input ends. This file is built together with the scenario's main.go.
package main

import (
	"os"
	"runtime"
	"strconv"
	"unsafe"
)

// State is the header of a map, and what can be counted below it. Classic maps have B, Old, NOld, Nevacuate, Evacuated and
// Overflow; Swiss maps have Tables and Slots. Array is buckets, or the directory or only group.
type State struct {
	Address, Count, Flags, B, Overflow, Array, Old, NOld, Nevacuate, Evacuated, Tables, Slots uint64
}

type noted struct {
	name    string
	address uintptr
}

var (
	document = []byte(`{"go":` + strconv.Quote(runtime.Version()))
	subjects []noted
	keep     []any
)

func at(a uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&a)) }

func u8(a uintptr) uint64            { return uint64(*(*uint8)(at(a))) }
func u16(a uintptr) uint64           { return uint64(*(*uint16)(at(a))) }
func u64(a uintptr) uint64           { return *(*uint64)(at(a)) }
func word(a uintptr) uintptr         { return *(*uintptr)(at(a)) }
func first(p unsafe.Pointer) uintptr { return *(*uintptr)(p) }

// header is the address of the header of a map.
func header[M any](m M) uintptr { return first(unsafe.Pointer(&m)) }

// unit is the size of a bucket or group of a map type, from its type descriptor.
func unit[M any]() uint64 {
	var none any = *new(M)
	return unitOf(first(unsafe.Pointer(&none)))
}

// state reads the header of a map; classic old buckets are counted.
func state[M any](m M) State { return stateAt(header(m), uintptr(unit[M]())) }

// growing says whether a classic map has an old array; false for Swiss maps.
func growing[M any](m M) bool { return classic && word(header(m)+0x18) != 0 }

// note lets mapscope compare its own reading of a map with the program's. The map must stay as it is.
func note[M any](name string, m M) M {
	address := header(m)
	subjects = append(subjects, noted{name, address})
	units = append(units, uintptr(unit[M]()))
	return m
}

var units []uintptr

func say(name string, value uint64) {
	document = append(document, ',')
	document = strconv.AppendQuote(document, name)
	document = append(document, ':')
	document = strconv.AppendUint(document, value, 10)
}

func sayFlag(name string, value bool) {
	number := uint64(0)
	if value {
		number = 1
	}
	say(name, number)
}

func sayAll(name string, values []uint64) {
	document = append(document, ',')
	document = strconv.AppendQuote(document, name)
	document = append(document, ":["...)
	for i, value := range values {
		if i > 0 {
			document = append(document, ',')
		}
		document = strconv.AppendUint(document, value, 10)
	}
	document = append(document, ']')
}

// live is what the heap holds after two collections.
func live() uint64 {
	var figures runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&figures)
	return figures.HeapAlloc
}

// settled is live when it says the same twice.
func settled() uint64 {
	last := live()
	for i := 0; i < 20; i++ {
		again := live()
		if again == last {
			break
		}
		last = again
	}
	return last
}

// gap is how much less than before is now, 0 where it is more.
func gap(before, now uint64) uint64 {
	if now > before {
		return 0
	}
	return before - now
}

// random is xorshift: the same keys in every run, never 0.
type random uint64

func (r *random) next() uint64 {
	x := uint64(*r)
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	*r = random(x)
	return x
}

// finish ends a growth, if one has begun, by deletes of a key that is not there; it counts them.
func finish[K comparable, V any](m map[K]V, absent K) (writes uint64) {
	for growing(m) {
		delete(m, absent)
		writes++
	}
	return writes
}

// ready prints the document with the maps that were noted, then READY, and waits for the end of the input.
func ready() {
	runtime.GC()
	runtime.GC()
	document = append(document, `,"maps":[`...)
	for i, one := range subjects {
		if i > 0 {
			document = append(document, ',')
		}
		document = append(document, `{"name":`...)
		document = strconv.AppendQuote(document, one.name)
		s := stateAt(one.address, units[i])
		for _, field := range []struct {
			name  string
			value uint64
		}{
			{"address", s.Address}, {"count", s.Count}, {"flags", s.Flags}, {"B", s.B}, {"overflow", s.Overflow},
			{"array", s.Array}, {"old", s.Old}, {"nold", s.NOld}, {"nevacuate", s.Nevacuate},
			{"evacuated", s.Evacuated}, {"tables", s.Tables}, {"slots", s.Slots},
		} {
			say(field.name, field.value)
		}
		document = append(document, '}')
	}
	document = append(document, "]}\nREADY\n"...)
	os.Stdout.Write(document)
	var one [1]byte
	os.Stdin.Read(one[:])
	runtime.KeepAlive(keep)
}

// gate is what a loop waits at: it lets the maker know, and waits to be let on.
type gate struct{ ready, pass, done chan struct{} }

func newGate() *gate {
	return &gate{make(chan struct{}), make(chan struct{}), make(chan struct{})}
}

func (g *gate) wait() {
	close(g.ready)
	<-g.pass
}

// open lets the loop end, and its goroutine with it.
func (g *gate) open() {
	close(g.pass)
	<-g.done
	for i := 0; i < 100; i++ { // the goroutine has its last instructions before it
		runtime.Gosched()
	}
}

// box hands a map over: whoever takes it is the only one to hold it.
type box[M any] struct{ m M }

func (b *box[M]) take() M {
	m := b.m
	var none M
	b.m = none
	return m
}
