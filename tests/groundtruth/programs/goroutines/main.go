// Command goroutines has goroutines in every state and prints what the runtime itself says of them: the text of
// runtime.Stack. Some of them hold, or seem to hold, large objects; finalizers tell which of those the collector has freed.
// It waits as probe.Wait does.
package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"unsafe"

	"truth/probe"
)

// big is an object so large that nobody overlooks it.
type big struct {
	next *big
	pad  [8 << 10]uint64
}

type object struct {
	name      string
	address   uintptr
	collected int32
}

var (
	objects [64]*object
	nobject int32
	roles   [64]struct {
		name string
		id   uint64
	}
	nrole int32
	spins atomic32
	never = make(chan *big)
)

// atomic32 is a counter that a loop looks at.
type atomic32 struct{ n int32 }

// make1 allocates an object and notes it without keeping it alive.
//
//go:noinline
func make1(name string) *big {
	b := new(big)
	b.pad[0] = 1
	o := &object{name: name, address: uintptr(unsafe.Pointer(b))}
	runtime.SetFinalizer(b, func(*big) { atomic.StoreInt32(&o.collected, 1) })
	objects[atomic.AddInt32(&nobject, 1)-1] = o
	return b
}

//go:noinline
func use(b *big) uint64 {
	if b == nil {
		return 0
	}
	return b.pad[0]
}

// id is the number in the first line of runtime.Stack.
func id() uint64 {
	var text [64]byte
	n := runtime.Stack(text[:], false)
	return number(strings.TrimPrefix(string(text[:n]), "goroutine "))
}

func number(text string) uint64 {
	end := strings.IndexByte(text, ' ')
	n, err := strconv.ParseUint(text[:end], 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// role makes a goroutine that is known by a name.
func role(name string, body func()) {
	ready := make(chan struct{})
	go func() {
		at := atomic.AddInt32(&nrole, 1) - 1
		roles[at].name, roles[at].id = name, id()
		close(ready)
		body()
	}()
	<-ready
}

var text [4 << 20]byte

// dump is the runtime's own description of all goroutines.
func dump() string {
	n := runtime.Stack(text[:], true)
	if n == len(text) {
		panic("too many goroutines")
	}
	return unsafeString(text[:n])
}

func unsafeString(b []byte) string { return *(*string)(unsafe.Pointer(&b)) }

// settled reports whether every goroutine that is to wait does, and every one that is to end is gone.
func settled(stacks string) bool {
	for _, r := range roles[:nrole] {
		if strings.HasPrefix(r.name, "spin") {
			continue
		}
		at := strings.Index("\n"+stacks, "\ngoroutine "+strconv.FormatUint(r.id, 10)+" ")
		if strings.HasPrefix(r.name, "dead") != (at < 0) {
			return false
		}
		if at < 0 {
			continue
		}
		head := stacks[at:]
		head = head[strings.IndexByte(head, '[')+1:]
		head = head[:strings.IndexAny(head, "],")]
		if head == "running" || head == "runnable" || head == "preempted" {
			return false
		}
	}
	return true
}

func report(stacks string) {
	var out strings.Builder
	out.WriteString(`{"go":` + strconv.Quote(runtime.Version()) + `,"roles":{"_":0`)
	for _, r := range roles[:nrole] {
		out.WriteString("," + strconv.Quote(r.name) + ":" + strconv.FormatUint(r.id, 10))
	}
	out.WriteString(`},"objects":[`)
	for i, o := range objects[:nobject] {
		if i > 0 {
			out.WriteString(",")
		}
		out.WriteString(`{"name":` + strconv.Quote(o.name) + `,"address":` + strconv.FormatUint(uint64(o.address), 10) +
			`,"collected":` + strconv.FormatBool(atomic.LoadInt32(&o.collected) != 0) + "}")
	}
	out.WriteString(`],"stacks":` + strconv.QuoteToASCII(stacks) + "}\n")
	os.Stdout.WriteString(out.String())
}

func main() {
	debug.SetGCPercent(-1) // no object takes the place of another before all are made
	states()
	holders()
	debug.SetGCPercent(100)
	runtime.GC() // the collector's own goroutines are there from now on
	ends()
	for i := 0; i < 4; i++ { // finalizers run, and what they kept goes
		runtime.GC()
	}
	stacks := dump()
	for !settled(stacks) {
		runtime.Gosched()
		stacks = dump()
	}
	for i := 0; i < 4; i++ {
		runtime.GC()
	}
	report(dump())
	for i := 0; i < 2; i++ { // what the report was made of goes, so that all that is allocated is alive
		runtime.GC()
	}
	os.Stdout.WriteString("READY\n")
	probe.Wait()
}
