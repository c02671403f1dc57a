// Command holding keeps large maps alive in every way that a program can: through variables, fields, elements, closures,
// channels, goroutines. It prints where each lies and waits until its standard input ends. Then it lets go of one after the
// other and prints how many bytes of heap each was worth, by the runtime's own count.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"truth/probe"
)

// rec is a value without pointers.
type rec struct{ pad [512]byte }

type recs map[int]*rec

type server struct {
	name  string
	cache recs
	other recs
}

type item struct {
	id int
	m  recs
}

type node struct {
	next *node
	body []byte
	m    recs
}

type store struct {
	before [3]int
	shards [4]recs
}

var (
	direct  recs
	srv     *server
	shop    store
	items   []item
	list    *node
	boxed   any
	closure func() int
	queue   chan recs
	nested  map[string]recs
	twinA   recs
	twinB   *server
	stop    = make(chan bool)
	stopped = make(chan bool)
)

type one struct {
	name    string
	address uintptr
	drop    func()
}

var cases []one

//go:noinline
func fill(n int) recs {
	m := make(recs, n)
	for i := 0; i < n; i++ {
		m[i] = new(rec)
	}
	return m
}

func header(m recs) uintptr { return *(*uintptr)(unsafe.Pointer(&m)) }

func add(name string, address uintptr, drop func()) { cases = append(cases, one{name, address, drop}) }

//go:noinline
func useDirect() {
	direct = fill(3000)
	add("direct", header(direct), func() { direct = nil })
}

//go:noinline
func useServer() {
	srv = &server{name: "srv", cache: fill(3100), other: fill(2900)}
	add("field", header(srv.cache), func() { srv.cache = nil })
	add("object", uintptr(unsafe.Pointer(srv)), func() { srv = nil })
}

//go:noinline
func useStore() {
	for i := range shop.shards {
		shop.shards[i] = fill(2000 + i)
	}
	add("array", header(shop.shards[2]), func() { shop.shards[2] = nil })
}

//go:noinline
func useItems() {
	items = make([]item, 8)
	items[3].m = fill(3200)
	add("slice", header(items[3].m), func() { items[3].m = nil })
}

//go:noinline
func useList() {
	m := fill(2500)
	for i := 0; i < 50; i++ {
		list = &node{next: list, body: make([]byte, 50000)}
		if i == 0 {
			list.m = m
		}
	}
	add("list", header(m), func() {
		n := list
		for n.next != nil {
			n = n.next
		}
		n.m = nil
	})
	add("head", uintptr(unsafe.Pointer(list)), func() { list = nil })
}

//go:noinline
func useBox() {
	s := &server{cache: fill(3300)}
	boxed = s
	add("box", header(s.cache), func() { boxed.(*server).cache = nil })
}

//go:noinline
func useClosure() {
	m := fill(2700)
	closure = func() int { return len(m) }
	add("closure", header(m), func() { closure = nil })
}

//go:noinline
func useQueue() {
	queue = make(chan recs, 4)
	queue <- nil
	m := fill(2600)
	queue <- m
	add("channel", header(m), func() { <-queue; <-queue })
}

//go:noinline
func useNested() {
	nested = map[string]recs{"in": fill(2800)}
	add("nested", header(nested["in"]), func() { delete(nested, "in") })
}

//go:noinline
func useTwins() {
	twinA = fill(2400)
	twinB = &server{other: twinA}
	add("twins", header(twinA), func() { twinA, twinB.other = nil, nil })
}

//go:noinline
func hold(m recs, address *uintptr) {
	*address = header(m)
	stopped <- true
	<-stop
	runtime.KeepAlive(m)
	stopped <- true
}

//go:noinline
func useGoroutine() {
	address := new(uintptr)
	go func() { hold(fill(2300), address) }()
	<-stopped
	add("goroutine", *address, func() { stop <- true; <-stopped })
}

func live() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func main() {
	useDirect()
	useServer()
	useStore()
	useItems()
	useList()
	useBox()
	useClosure()
	useQueue()
	useNested()
	useTwins()
	useGoroutine()
	live()
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintf(out, "{\"goroutine\": \"main.hold\", \"cases\": {")
	for i, c := range cases {
		if i > 0 {
			fmt.Fprint(out, ", ")
		}
		fmt.Fprintf(out, "%q: %d", c.name, c.address)
	}
	fmt.Fprint(out, "}}\nREADY\n")
	out.Flush()
	probe.Wait()
	fmt.Fprint(out, "{")
	for i := range cases {
		before := live()
		cases[i].drop()
		cases[i].drop = nil
		if i > 0 {
			fmt.Fprint(out, ", ")
		}
		fmt.Fprintf(out, "%q: %d", cases[i].name, before-live())
	}
	fmt.Fprintln(out, "}")
	out.Flush()
	runtime.KeepAlive(boxed)
	runtime.KeepAlive(items)
}
