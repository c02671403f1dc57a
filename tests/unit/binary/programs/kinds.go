// Program kinds prints, as JSON, what it knows about its own types through reflect and unsafe, and its own functions.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"unsafe"
)

type Rec struct {
	ID   int
	Name string
	Tags []string
	Any  interface{}
	W    io.Writer
	Next *Rec
	M    map[string]*Rec
	C    chan<- int
	F    func(int) error
	U    unsafe.Pointer
	Arr  [3]string
	sync.Mutex
	_ int8
}

type Named int16

func (n Named) String() string { return "named" }

type Pair[K comparable, V any] struct {
	Key K
	Val V
}

type Huge struct {
	Pre  [5]uint64
	Many [900]Rec
	Post *int
}

type Tail struct {
	P   *int
	Pad [4000]byte
}

type wide [129]byte
type edge [128]byte
type empty struct{}
type loop struct {
	next map[string]loop
	self *loop
	sl   []loop
}

type Embedded struct {
	*Rec
	Named
	fmt.Stringer
	Plain Pair[string, *Rec]
}

type Field struct {
	Name     string
	Type     string
	Offset   uintptr
	Embedded bool
}

type TypeTruth struct {
	Address string
	Kind    int
	Name    string
	Size    uintptr
	Align   int
	PtrData uintptr
	Elem    string
	Key     string
	Len     int
	Dir     int
	Fields  []Field
	Mask    string
	Comparable bool
}

type FuncTruth struct {
	Entry string
	Name  string
	File  string
	Line  int
}

type FrameTruth struct {
	PC   string
	Func string
	File string
	Line int
}

type Truth struct {
	Version string
	Main    string
	Types   []TypeTruth
	Itabs   [][2]string
	Funcs   []FuncTruth
	Frames  []FrameTruth
	PCs     []string
}

func address(t reflect.Type) string {
	if t == nil {
		return ""
	}
	var i interface{} = t
	return fmt.Sprintf("0x%x", (*[2]uintptr)(unsafe.Pointer(&i))[1])
}

func mask(t reflect.Type, out []byte) {
	switch t.Kind() {
	case reflect.Ptr, reflect.Map, reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.String, reflect.Slice:
		out[0] = '1'
	case reflect.Interface:
		out[1] = '1' // the first word points to an itab or a type, never to the heap: the collector skips it
	case reflect.Array:
		for i := 0; i < t.Len() && t.Elem().Size() >= 8; i++ {
			mask(t.Elem(), out[uintptr(i)*t.Elem().Size()/8:])
		}
	case reflect.Struct:
		for i := 0; i < t.NumField(); i++ {
			f := t.Field(i)
			if f.Type.Size() >= 8 {
				mask(f.Type, out[f.Offset/8:])
			}
		}
	}
}

var seen = map[reflect.Type]bool{}
var truth Truth

func add(t reflect.Type) {
	if t == nil || seen[t] || len(seen) > 2000 {
		return
	}
	seen[t] = true
	var i interface{} = t
	raw := (*[2]*[6]uintptr)(unsafe.Pointer(&i))[1]
	tt := TypeTruth{Address: address(t), Kind: int(t.Kind()), Name: t.String(), Size: t.Size(), Align: t.Align(),
		PtrData: raw[1], Comparable: t.Comparable()}
	if t.Size() < 1<<20 {
		bits := []byte(strings.Repeat("0", int(t.Size()/8)))
		mask(t, bits)
		tt.Mask = string(bits)
	}
	switch t.Kind() {
	case reflect.Array, reflect.Chan, reflect.Map, reflect.Ptr, reflect.Slice:
		tt.Elem = address(t.Elem())
		add(t.Elem())
	case reflect.Struct:
		for i := 0; i < t.NumField(); i++ {
			f := t.Field(i)
			tt.Fields = append(tt.Fields, Field{f.Name, address(f.Type), f.Offset, f.Anonymous})
			add(f.Type)
		}
	case reflect.Func:
		for i := 0; i < t.NumIn(); i++ {
			add(t.In(i))
		}
	}
	switch t.Kind() {
	case reflect.Array:
		tt.Len = t.Len()
	case reflect.Chan:
		tt.Dir = int(t.ChanDir())
	case reflect.Map:
		tt.Key = address(t.Key())
		add(t.Key())
	}
	truth.Types = append(truth.Types, tt)
}

func inner() []uintptr {
	pcs := make([]uintptr, 32)
	return pcs[:runtime.Callers(1, pcs)]
}

func middle() []uintptr { return inner() }

//go:noinline
func outer() []uintptr { return middle() }

func main() {
	values := []interface{}{true, int(1), int8(1), int16(1), int32(1), int64(1), uint(1), uint8(1), uint16(1), uint32(1),
		uint64(1), uintptr(1), float32(1), float64(1), complex64(1), complex128(1), "s", unsafe.Pointer(nil),
		Rec{}, &Rec{}, []Rec{}, [4]Rec{}, map[string]*Rec{}, make(chan int), make(<-chan Rec), make(chan<- *Rec),
		func(int, string) error { return nil }, Named(1), new(Named), Pair[string, int]{}, Pair[Named, map[int][]Rec]{},
		Huge{}, &Huge{}, Tail{}, wide{}, edge{}, empty{}, loop{}, Embedded{}, [0]int{}, [1 << 20]int{}, [3][4]*int{},
		[1000]*int{}, [1000]struct {
			A int
			B *int
		}{}, struct {
			A [300]string
			B [300]interface{}
			C [9]byte
		}{}, map[int]int{}, map[string]int{}, map[string]string{}, map[int64]bool{}, map[int][128]byte{},
		map[int][129]byte{}, map[[129]byte]int{}, map[interface{}]interface{}{}, map[empty]empty{}, map[float64]Rec{},
		map[string]map[string]map[int]Rec{}, map[*Rec]struct{}{}, map[[2]string][]int{}, map[uint32]uint32{},
		map[uint8]uint8{}, map[string]empty{}, map[Named]Huge{}, sync.Map{}, reflect.ValueOf(1), &truth}
	for _, v := range values {
		add(reflect.TypeOf(v))
	}
	if len(os.Args) > 1 && os.Args[1] == "dynamic" {
		add(reflect.MapOf(reflect.TypeOf(uint16(1)), reflect.TypeOf(Rec{})))
		add(reflect.StructOf([]reflect.StructField{{Name: "Q", Type: reflect.TypeOf([]Rec{})}}))
	}
	var w io.Writer = os.Stdout
	var s fmt.Stringer = Named(3)
	for _, i := range []unsafe.Pointer{unsafe.Pointer(&w), unsafe.Pointer(&s)} {
		truth.Itabs = append(truth.Itabs, [2]string{fmt.Sprintf("0x%x", *(*uintptr)(i)), ""})
	}
	truth.Itabs[0][1], truth.Itabs[1][1] = address(reflect.TypeOf(w)), address(reflect.TypeOf(s))
	for _, f := range []interface{}{main, inner, add, json.Marshal, strings.Repeat, fmt.Sprintf, runtime.GC, Named.String} {
		entry := reflect.ValueOf(f).Pointer()
		fn := runtime.FuncForPC(entry)
		file, line := fn.FileLine(entry)
		truth.Funcs = append(truth.Funcs, FuncTruth{fmt.Sprintf("0x%x", entry), fn.Name(), file, line})
	}
	pcs := outer()
	for _, pc := range pcs {
		truth.PCs = append(truth.PCs, fmt.Sprintf("0x%x", pc))
	}
	frames := runtime.CallersFrames(pcs)
	for {
		f, more := frames.Next()
		truth.Frames = append(truth.Frames, FrameTruth{fmt.Sprintf("0x%x", f.PC), f.Function, f.File, f.Line})
		if !more {
			break
		}
	}
	truth.Version = runtime.Version()
	truth.Main = fmt.Sprintf("0x%x", reflect.ValueOf(main).Pointer())
	if err := json.NewEncoder(os.Stdout).Encode(truth); err != nil {
		panic(err)
	}
	os.Stdout.Sync()
	if len(os.Args) > 1 {
		io.ReadAll(os.Stdin)
	}
}
