package probe

import (
	"os"
	"runtime"
	"strconv"
)

// The document is written into data, not into the heap, so that writing it changes nothing that it tells.
var (
	out  [8 << 20]byte
	fill int
)

func raw(s string) { fill += copy(out[fill:], s) }

func quoted(s string) { fill = len(strconv.AppendQuoteToASCII(out[:fill], s)) }

func number(n uint64) { fill = len(strconv.AppendUint(out[:fill], n, 10)) }

// Number writes a member of the current object: ,"name":n
func Number(name string, n uint64) {
	raw(",")
	quoted(name)
	raw(":")
	number(n)
}

// Text writes a member of the current object: ,"name":"text"
func Text(name, text string) {
	raw(",")
	quoted(name)
	raw(":")
	quoted(text)
}

func write(extra func()) {
	raw(`{"generation":`)
	quoted(generation)
	Text("go", runtime.Version())
	Text("arch", runtime.GOARCH)
	Number("pid", uint64(os.Getpid()))
	if extra != nil {
		extra()
	}
	raw(`,"memstats":{"_":0`)
	Number("HeapAlloc", Figures.HeapAlloc)
	Number("HeapObjects", Figures.HeapObjects)
	Number("HeapInuse", Figures.HeapInuse)
	Number("HeapSys", Figures.HeapSys)
	Number("HeapReleased", Figures.HeapReleased)
	Number("StackInuse", Figures.StackInuse)
	Number("NumGC", uint64(Figures.NumGC))
	raw("},\"maps\":[\n")
	for i, e := range entries {
		if i > 0 {
			raw(",\n")
		}
		raw(`{"name":`)
		quoted(e.Name)
		Text("reach", e.Reach)
		Text("type", e.Type)
		Text("place", e.Place)
		Number("address", uint64(e.addr))
		Number("array_unit", e.array)
		Number("array_unit_pointers", e.ptrs)
		Number("key_size", e.key)
		Number("elem_size", e.elem)
		raw(`,"header":{"_":0`)
		for j, name := range headerNames {
			Number(name, e.header[j])
		}
		raw(`},"counted":{"_":0`)
		for j, name := range sumNames {
			Number(name, e.sums[j])
		}
		raw(`},"tables":[`)
		for j := 0; j < e.ntable; j++ {
			if j > 0 {
				raw(",")
			}
			raw(`{"_":0`)
			for k, name := range tableNames {
				Number(name, tables[e.first+j][k])
			}
			raw("}")
		}
		raw("]}")
		if fill > len(out)-(64<<10) {
			panic("document too long")
		}
	}
	raw("]}")
}

// Numbers writes a member of the current object: ,"name":[1,2,3]
func Numbers(name string, list []uintptr) {
	raw(",")
	quoted(name)
	raw(":[")
	for i, n := range list {
		if i > 0 {
			raw(",")
		}
		number(uint64(n))
	}
	raw("]")
}
