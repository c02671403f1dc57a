// Package probe lets a program tell the truth about its own maps: it remembers where their headers lie, reads the headers
// back through unsafe when everything has settled, and prints one JSON document. It creates no maps of its own.
//
// The addresses are kept as uintptr, so that being known here keeps no map alive.
package probe

import (
	"os"
	"reflect"
	"runtime"
	"unsafe"
)

// Entry is one map of the program.
type Entry struct {
	Name  string // path in words
	Reach string // how the map is reached: a word that the tests know
	Type  string
	Place string // "heap" or "stack": where the header lies
	addr  uintptr
	mt    uintptr // the type descriptor of the map type

	array  uint64 // size in bytes of one bucket or group
	ptrs   uint64 // pointer bytes of one bucket or group; 0 is noscan
	key    uint64 // size of a key
	elem   uint64
	header [12]uint64
	sums   [10]uint64
	end    [2]uintptr // classic: bytes of the arrays
	first  int        // Swiss: tables[first:first+ntable]
	ntable int
}

var entries []*Entry

// word0 is the first word of what p points to: of a map variable, the address of its header. Nothing escapes.
//
//go:noinline
func word0(p unsafe.Pointer) uintptr { return *(*uintptr)(p) }

// Word is the address of the header of the map in the variable m. m does not escape.
func Word[M any](m *M) uintptr { return word0(unsafe.Pointer(m)) }

func describe[M any](name, reach string) *Entry {
	var none any = *new(M)
	return &Entry{
		Name: name, Reach: reach, Type: reflect.TypeOf(none).String(), Place: "heap",
		mt: word0(unsafe.Pointer(&none)),
	}
}

// Add notes a map whose header does not move (on the heap, or in data).
func Add[M any](name, reach string, m M) M {
	e := describe[M](name, reach)
	e.addr = Word(&m)
	if e.addr == 0 {
		panic(name + ": nil map")
	}
	entries = append(entries, e)
	return m
}

// AddOnStack notes a map whose header lies on a stack; the goroutine calls Set when its stack can no longer move.
func AddOnStack[M any](name, reach string) *Entry {
	e := describe[M](name, reach)
	e.Place = "stack"
	entries = append(entries, e)
	return e
}

// AddRaw notes a map that only an address tells about (inside sync.Map); typ is its type in words.
func AddRaw(name, reach, typ string, mt, addr uintptr) {
	entries = append(entries, &Entry{Name: name, Reach: reach, Type: typ, Place: "heap", mt: mt, addr: addr})
}

// Set notes the address of the header. Small and without calls, so that the stack does not grow.
//
//go:noinline
func (e *Entry) Set(addr uintptr) { e.addr = addr }

// sizes reads what the map type says about its keys, elems, and buckets or groups.
func (e *Entry) sizes(unit uint64) {
	e.array = unit
	e.ptrs = u64(ptr(e.mt+0x40) + 8) // Bucket or Group, PtrBytes
	e.key = u64(ptr(e.mt + 0x30))    // Key.Size_
	e.elem = u64(ptr(e.mt + 0x38))
}

// Growing says whether a classic map has an old bucket array. Always false for Swiss maps.
func Growing[M any](m M) bool { return growing(Word(&m)) }

func u8(a uintptr) uint64   { return uint64(*(*uint8)(at(a))) }
func u16(a uintptr) uint64  { return uint64(*(*uint16)(at(a))) }
func u32(a uintptr) uint64  { return uint64(*(*uint32)(at(a))) }
func u64(a uintptr) uint64  { return *(*uint64)(at(a)) }
func ptr(a uintptr) uintptr { return *(*uintptr)(at(a)) }

// at makes a pointer of an address; the detour keeps vet and checkptr quiet, the objects are kept alive elsewhere.
func at(a uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&a)) }

// Figures are the runtime's own, read when all has settled.
var Figures runtime.MemStats

// Settle collects the garbage. Nothing may be allocated afterwards.
func Settle() {
	for _, e := range entries {
		if e.Place == "heap" {
			e.read() // allocates the list of tables
		}
	}
	entries = append([]*Entry(nil), entries...)
	tables = append(make([][7]uint64, 0, len(tables)+256), tables...) // room for the maps on stacks
	runtime.GC()
	runtime.GC()
}

// Report reads every header and prints the document, then READY, and waits as Wait does.
func Report(extra func()) {
	for _, e := range entries {
		if e.addr == 0 {
			panic(e.Name + ": no address")
		}
		e.read()
	}
	runtime.ReadMemStats(&Figures)
	write(extra)
	os.Stdout.Write(out[:fill])
	os.Stdout.WriteString("\nREADY\n")
	Wait()
}
