// Command small holds a few maps of every state that fits into a small core, prints where their headers lie, and waits.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"unsafe"
)

type record struct {
	name string
	next *record
}

var (
	steady  = map[string]int{}
	growing = map[uint64]uint64{}
	sparse  = map[int]*record{}
	small   = map[string]any{"one": 1, "two": "2"}
	nested  = map[string]map[int]string{}
	large   = map[int][200]byte{}
	windows = map[string]bool{}
	list    *record
)

func header[K comparable, V any](m map[K]V) uintptr { return *(*uintptr)(unsafe.Pointer(&m)) }

func main() {
	for i := 0; i < 500; i++ {
		steady[fmt.Sprint("key", i)] = i
	}
	for i := uint64(0); i < 840; i++ { // a few more than 6.5 * 2^7
		growing[i] = i
	}
	for i := 0; i < 2000; i++ {
		list = &record{fmt.Sprint("record", i), list}
		sparse[i] = list
	}
	for i := 0; i < 1990; i++ {
		delete(sparse, i)
	}
	for i := 0; i < 20; i++ {
		nested[fmt.Sprint("map", i)] = map[int]string{i: "x", i + 1: "y"}
		large[i] = [200]byte{byte(i)}
		line := make([]byte, 4096)
		copy(line, fmt.Sprint("line", i))
		windows[string(line)[:6]] = true
	}
	onStack := map[int8]int8{1: 2}
	hold := make(chan struct{})
	for i := 0; i < 5; i++ {
		go func(mine map[int]int) {
			for range mine {
				<-hold
			}
		}(map[int]int{i: i})
	}
	runtime.GC()
	fmt.Println("ready", os.Getpid(), header(steady), header(growing), header(sparse), header(small), header(nested),
		header(large), header(windows))
	io.Copy(io.Discard, os.Stdin)
	if len(os.Args) > 1 { // a file for a heap dump
		file, err := os.Create(os.Args[1])
		if err != nil {
			panic(err)
		}
		debug.WriteHeapDump(file.Fd())
	}
	fmt.Println(len(onStack), list.name)
}
