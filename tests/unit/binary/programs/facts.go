// Program facts holds maps in every place that machine code can tell about, and prints where they are.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"sync"
	"unsafe"
)

type Rec struct {
	ID   int
	Name string
	Sub  map[string]int
}

type Store struct {
	mu    sync.Mutex
	items map[string]*Rec
	index map[int][]string
}

//go:noinline
func (s *Store) Put(k string, r *Rec) {
	s.mu.Lock()
	s.items[k] = r
	s.index[r.ID] = append(s.index[r.ID], k)
	s.mu.Unlock()
}

type Counter struct {
	hits map[uint64]int
	_    [64]byte
}

var (
	literal   = map[string]int{"a": 1, "b": 2}
	big       = map[string]int{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7, "h": 8, "i": 9, "j": 10,
		"k": 11, "l": 12, "m": 13, "n": 14, "o": 15, "p": 16, "q": 17, "r": 18, "s": 19, "t": 20, "u": 21, "v": 22,
		"w": 23, "x": 24, "y": 25, "z": 26, "aa": 27}
	made      map[int64]string
	hinted    = make(map[[2]int]float64, 100)
	onlyRead  map[Rec2]bool
	inStruct  struct {
		pad int
		m   map[uint32]Rec
	}
	store     = &Store{items: map[string]*Rec{}, index: map[int][]string{}}
	stored    *Store
	counter   Counter
	synced    sync.Map
	queue     chan map[string]Rec
	list      []*Store
	guarded   sync.RWMutex
	cleared   map[int8]int8
	deleted   map[string]struct{}
	ranged    map[uint16]string
)

type Rec2 struct{ A, B int }

type Place struct {
	Kind   string
	Name   string
	Where  string
	Offset int
	Type   string
}

var places []Place

func typ(v interface{}) string {
	t := reflect.TypeOf(v)
	var i interface{} = t
	return fmt.Sprintf("0x%x", (*[2]uintptr)(unsafe.Pointer(&i))[1])
}

func at(kind, name string, p unsafe.Pointer, offset int, v interface{}) {
	places = append(places, Place{kind, name, fmt.Sprintf("0x%x", p), offset, typ(v)})
}

func code(f interface{}) unsafe.Pointer { return unsafe.Pointer(reflect.ValueOf(f).Pointer()) }

//go:noinline
func capture(m map[string]Rec, n int) func(string) int {
	return func(k string) int { return m[k].ID + n }
}

//go:noinline
func captureBox(n int) (func(string), func()) {
	m := make(map[string]uint8)
	return func(k string) { m[k]++ }, func() { m = nil }
}

//go:noinline
func useFrame(m map[string]int16, stop chan int) int {
	total := 0
	for i := 0; i < 10; i++ {
		total += int(m[fmt.Sprint(i)])
		<-stop
	}
	return total
}

//go:noinline
func touch() {
	made = make(map[int64]string)
	made[3] = "x"
	hinted[[2]int{1, 2}] = 3
	if onlyRead[Rec2{1, 2}] {
		fmt.Println("never")
	}
	inStruct.m = map[uint32]Rec{}
	inStruct.m[1] = Rec{}
	stored = &Store{items: map[string]*Rec{}, index: map[int][]string{}}
	stored.Put("k", &Rec{})
	store.Put("k", &Rec{})
	counter.hits = make(map[uint64]int)
	counter.hits[1]++
	synced.Store("a", 1)
	queue = make(chan map[string]Rec, 3)
	list = append(list, &Store{})
	guarded.Lock()
	for k := range cleared {
		delete(cleared, k)
	}
	delete(deleted, "x")
	for _, v := range ranged {
		fmt.Print(v)
	}
	guarded.Unlock()
}

func main() {
	touch()
	at("map", "literal", unsafe.Pointer(&literal), 0, literal)
	at("map", "big", unsafe.Pointer(&big), 0, big)
	at("map", "made", unsafe.Pointer(&made), 0, made)
	at("map", "hinted", unsafe.Pointer(&hinted), 0, hinted)
	at("map", "onlyRead", unsafe.Pointer(&onlyRead), 0, onlyRead)
	at("map", "inStruct.m", unsafe.Pointer(&inStruct.m), 0, inStruct.m)
	at("map", "counter.hits", unsafe.Pointer(&counter.hits), 0, counter.hits)
	at("map", "cleared", unsafe.Pointer(&cleared), 0, cleared)
	at("map", "deleted", unsafe.Pointer(&deleted), 0, deleted)
	at("map", "ranged", unsafe.Pointer(&ranged), 0, ranged)
	at("pointer", "stored", unsafe.Pointer(&stored), 0, *stored)
	at("pointer", "store", unsafe.Pointer(&store), 0, *store)
	at("slice", "list", unsafe.Pointer(&list), 0, &Store{})
	at("chan", "queue", unsafe.Pointer(&queue), 0, queue)
	at("value", "synced", unsafe.Pointer(&synced), 0, sync.Map{})
	at("value", "guarded", unsafe.Pointer(&guarded), 0, sync.RWMutex{})
	m := map[string]Rec{"a": {ID: len(os.Args)}}
	f := capture(m, len(os.Args))
	g, h := captureBox(len(os.Args))
	g("x")
	at("capture", "m", code(f), 8, m)
	at("box", "m", code(g), 8, map[string]uint8{})
	h()
	stop := make(chan int, 10)
	for i := 0; i < 10; i++ {
		stop <- i
	}
	frame := map[string]int16{"1": 1}
	fmt.Fprintln(os.Stderr, f("a"), useFrame(frame, stop))
	at("frame", "useFrame", code(useFrame), 0, frame)
	at("main", "main", code(main), 0, frame)
	if err := json.NewEncoder(os.Stdout).Encode(places); err != nil {
		panic(err)
	}
}
