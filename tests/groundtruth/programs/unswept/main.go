// Command unswept stands in a loop right after a collection, on its only processor, so that most of its spans have not been
// swept: what died in them still looks allocated. Its stack holds numbers that are addresses of dead objects, of which a
// conservative scan of the running goroutine must make nothing. It prints its living maps and its dead ones.
package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"unsafe"
)

type holder struct {
	held map[string]int
	rest [62]*holder
}

const (
	many = 64 * 624
	kept = 64
)

var (
	holders [many]*holder
	out     [1 << 16]byte
	fill    int
	garbage *[1 << 12]byte
)

func say(s string) { fill += copy(out[fill:], s) }

func number(n uintptr) { fill = len(strconv.AppendUint(out[:fill], uint64(n), 10)) }

func filled(n int) map[string]int {
	m := make(map[string]int)
	for i := 0; i < n; i++ {
		m["key-"+strconv.Itoa(i)] = i
	}
	return m
}

// setUp makes the holders, a living and a dead one of each pair; the addresses of some dead ones go to hidden.
//
//go:noinline
func setUp(hidden *[kept]uintptr) {
	for i := range holders {
		holders[i] = new(holder)
	}
	say(`{"live":[`)
	for k := range hidden {
		h := holders[624*k]
		h.held = filled(20)
		if k > 0 {
			say(",")
		}
		number(*(*uintptr)(unsafe.Pointer(&h.held)))
	}
	say(`],"dead":[`)
	for k := range hidden {
		at := 624*k + 1
		h := holders[at]
		h.held = filled(20)
		if k > 0 {
			say(",")
		}
		number(*(*uintptr)(unsafe.Pointer(&h.held)))
		hidden[k] = uintptr(unsafe.Pointer(h))
	}
	say(`],"holders":[`)
	for k, at := range hidden {
		if k > 0 {
			say(",")
		}
		number(at)
	}
	say("]}\nREADY\n")
	for i := 1; i < many; i += 2 {
		holders[i] = nil
	}
}

//go:noinline
func spin(hidden *[kept]uintptr, out *byte, fill int) {
	// a raw system call keeps the processor: nothing sweeps meanwhile
	syscall.RawSyscall(syscall.SYS_WRITE, 1, uintptr(unsafe.Pointer(out)), uintptr(fill))
	here := *hidden // in the frame that runs
	for n := uintptr(0); ; n++ {
		if here[n%kept] == n {
			return
		}
	}
}

func main() {
	if os.Getenv("GODEBUG") == "" {
		// nothing may interrupt the loop, or the sweeper gets its turn
		err := syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), "GODEBUG=asyncpreemptoff=1"))
		panic(err)
	}
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1)
	var hidden [kept]uintptr
	setUp(&hidden)
	var before, now debug.GCStats
	debug.ReadGCStats(&before)
	debug.SetGCPercent(100)
	for now.NumGC == before.NumGC {
		garbage = new([1 << 12]byte)
		debug.ReadGCStats(&now)
	}
	spin(&hidden, &out[0], fill)
}
