// Command secrets plants one marker, its first argument four times over, wherever a Go program can hold contents: keys and
// values of maps, strings, arrays inside structs with pointers, globals, stacks live and dead, channel buffers, freed memory,
// arguments and environment. It says where some of them lie, so that a test can look there.
package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"truth/probe"
)

type array [32]byte

// mixed has contents between its pointers.
type mixed struct {
	next  *mixed
	fixed array
	name  string
	any   any
	more  array
}

type wide struct{ text [160]byte }

var (
	global      string
	globalArray array
	globalMixed mixed
	globalMap   map[string]string
	globalChan  chan array
	globalFunc  func() int
	globalSync  sync.Map
	keep        []any
	places      []place
	wait        = make(chan int)
	stop        uint32
	ready       = make(chan int)
)

type place struct {
	name string
	at   uintptr
}

func note(name string, p unsafe.Pointer) { places = append(places, place{name, uintptr(p)}) }

func text() string { return strings.Repeat(os.Args[1], 4) }

func numbered(i int) string { return text() + strconv.Itoa(i) }

func fixed() (a array) {
	copy(a[:], text())
	return a
}

func numberedArray(i int) array {
	a := fixed()
	a[31] = byte(i)
	a[30] = byte(i >> 8)
	return a
}

func data(s *string) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(s)) }

func maps() {
	globalMap = map[string]string{}
	for i := 0; i < 3000; i++ {
		globalMap[numbered(i)] = numbered(-i)
	}
	for i := 0; i < 1000; i++ {
		delete(globalMap, numbered(i))
	}
	flat := map[array]array{}
	for i := 0; i < 500; i++ {
		flat[numberedArray(i)] = numberedArray(i)
	}
	for i := 100; i < 200; i++ {
		delete(flat, numberedArray(i))
	}
	structs := map[int]mixed{}
	for i := 0; i < 300; i++ {
		structs[i] = mixed{fixed: fixed(), name: text(), any: fixed(), more: fixed()}
	}
	faces := map[any]any{}
	for i := 0; i < 100; i++ {
		faces[numbered(i)] = numberedArray(i)
		faces[numberedArray(i)] = []byte(text())
	}
	large := map[wide]wide{}
	for i := 0; i < 20; i++ {
		var w wide
		copy(w.text[:], strings.Repeat(text(), 5))
		w.text[159] = byte(i)
		large[w] = w
	}
	small := map[string]array{text(): fixed()}
	made := reflect.MakeMap(reflect.MapOf(reflect.TypeOf(array{}), reflect.TypeOf([]string{})))
	for i := 0; i < 100; i++ {
		made.SetMapIndex(reflect.ValueOf(numberedArray(i)), reflect.ValueOf([]string{text()}))
	}
	probe.Add("strings", "global", globalMap)
	keep = append(keep, probe.Add("flat", "any", flat), probe.Add("structs", "any", structs), probe.Add("faces", "any", faces),
		probe.Add("large", "any", large), probe.Add("small", "any", small), made.Interface())
}

func heap() {
	bytesOf := []byte(text())
	note("bytes", unsafe.Pointer(&bytesOf[0]))
	list := &mixed{fixed: fixed(), name: text(), any: text(), more: fixed()}
	list.next = &mixed{next: list, fixed: fixed(), name: text(), any: fixed(), more: fixed()}
	note("fixed", unsafe.Pointer(&list.fixed))
	note("more", unsafe.Pointer(&list.next.more))
	note("string", data(&list.name))
	many := make([]mixed, 40)
	for i := range many {
		many[i] = *list
	}
	note("slice", unsafe.Pointer(&many[39].fixed))
	big := make([]mixed, 3000)
	for i := range big {
		big[i] = *list
	}
	note("large slice", unsafe.Pointer(&big[2999].more))
	numbers := make([]uint64, 8)
	copy((*[64]byte)(unsafe.Pointer(&numbers[0]))[:], text())
	note("numbers", unsafe.Pointer(&numbers[0]))
	channel := make(chan array, 8)
	strings_ := make(chan string, 8)
	for i := 0; i < 5; i++ {
		channel <- fixed()
		strings_ <- text()
	}
	<-channel
	captured := fixed()
	closure := func() int { return int(captured[wordLength()]) }
	writer := bufio.NewWriter(io.Discard)
	writer.WriteString(text())
	buffer := bytes.NewBufferString(text())
	final := &mixed{fixed: fixed(), name: text()}
	runtime.SetFinalizer(final, func(m *mixed) { println(m.fixed[0]) })
	later := fixed()
	timer := time.AfterFunc(time.Hour, func() { println(later[0]) })
	for i := 0; i < 50; i++ {
		globalSync.Store(numbered(i), numberedArray(i))
	}
	keep = append(keep, bytesOf, list, many, big, numbers, channel, strings_, closure, writer, buffer, final, timer, fixed(), text())
	globalChan, globalFunc = channel, closure
}

//go:noinline
func wordLength() int { return len(os.Args[1]) }

func globals() {
	global, globalArray = text(), fixed()
	globalMixed = mixed{fixed: fixed(), name: text(), any: fixed(), more: fixed()}
	note("global", unsafe.Pointer(&globalArray))
	note("global struct", unsafe.Pointer(&globalMixed.fixed))
	note("global more", unsafe.Pointer(&globalMixed.more))
}

// freed leaves markers in memory that the collector has swept.
//
//go:noinline
func freed() {
	var dropped [][]byte
	for i := 0; i < 5000; i++ {
		dropped = append(dropped, []byte(numbered(i)))
	}
	m := map[string]*mixed{}
	for i := 0; i < 2000; i++ {
		m[numbered(i)] = &mixed{fixed: fixed(), name: numbered(i)}
	}
	runtime.KeepAlive(dropped)
	runtime.KeepAlive(m)
}

// deep leaves markers on the dead part of a stack.
//
//go:noinline
func deep(n int) byte {
	var frame [256]byte
	copy(frame[:], strings.Repeat(text(), 8))
	if n == 0 {
		return frame[n]
	}
	return deep(n-1) + frame[n]
}

//go:noinline
func waits(seed array) byte {
	local := seed
	held := map[string]int{text(): 1}
	defer func() { println(local[3], len(held)) }()
	deep(20)
	var frame [256]byte
	copy(frame[:], strings.Repeat(text(), 8))
	ready <- 1
	for k := range globalMap {
		local[0] = k[0]
		<-wait
	}
	return frame[local[0]] + local[1]
}

//go:noinline
func spins(a, b []byte) int {
	n := 0
	ready <- 1
	for stop == 0 {
		if bytes.Equal(a, b) {
			n += copy(a, b)
		}
		runtime.Gosched()
	}
	return n
}

func main() {
	freed()
	globals()
	maps()
	heap()
	go waits(fixed())
	<-ready
	go spins([]byte(text()), []byte(text()))
	<-ready
	deep(30)
	probe.Settle()
	probe.Report(func() {
		for _, p := range places {
			probe.Number("at "+p.name, uint64(p.at))
		}
	})
	runtime.KeepAlive(keep)
}
