// Command growing shows its maps twice: it prints where they lie and how many entries they have, waits for a line on its
// standard input, changes them in a known way, prints the same again and waits until its standard input ends.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"unsafe"
)

type table map[uint64]uint64

type server struct {
	name     string
	sessions table
}

var (
	grown       table
	shrunk      table // emptied: its arrays stay, its entries go
	stalled     table
	progressing table
	replaced    table
	sparse      table
	still       table
	srv         *server
	dropped     *server
	created     *server
	shards      [8]table
)

// random is xorshift: the same keys in every run.
type random uint64

func (r *random) next() uint64 {
	x := uint64(*r)
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	*r = random(x)
	return x
}

func header(m table) uintptr { return *(*uintptr)(unsafe.Pointer(&m)) }

// fill adds n entries.
func fill(m table, seed random, n int) table {
	for i := 0; i < n; i++ {
		m[seed.next()] = 1
	}
	return m
}

// settle ends a growth of a classic map; it does nothing to others.
func settle(m table) table {
	for i := 0; i < 1<<16; i++ {
		delete(m, 0)
	}
	return m
}

// midway gives a map that stands in the midst of a growth where maps are classic: 13·2^12 entries and one more.
func midway(seed random) table { return fill(make(table), seed, 13<<12+1) }

var names = []string{
	"grown", "shrunk", "stalled", "progressing", "replaced", "sparse", "still", "sessions", "dropped", "created",
}

func tell() {
	runtime.GC()
	runtime.GC()
	all := map[string]table{
		"grown": grown, "shrunk": shrunk, "stalled": stalled, "progressing": progressing, "replaced": replaced,
		"sparse": sparse, "still": still, "sessions": srv.sessions,
	}
	if dropped != nil {
		all["dropped"] = dropped.sessions
	}
	if created != nil {
		all["created"] = created.sessions
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Printf("{\"num_gc\": %d, \"shards\": [", stats.NumGC)
	for i, m := range shards {
		if i > 0 {
			fmt.Print(", ")
		}
		fmt.Print(len(m))
	}
	fmt.Print("], \"maps\": {")
	first := true
	for _, name := range names {
		m, there := all[name]
		if !there {
			continue
		}
		if !first {
			fmt.Print(", ")
		}
		first = false
		fmt.Printf("%q: {\"address\": %d, \"count\": %d}", name, header(m), len(m))
	}
	fmt.Println("}}")
	fmt.Println("READY")
}

func main() {
	grown = settle(fill(make(table), 1, 20_000))
	shrunk = settle(fill(make(table), 2, 30_000))
	stalled, progressing = midway(3), midway(4)
	replaced = settle(fill(make(table), 5, 5_000))
	sparse = settle(fill(make(table), 6, 200_000))
	left := 2000
	for k := range sparse {
		if left--; left < 0 {
			delete(sparse, k)
		}
	}
	still = settle(fill(make(table), 7, 40_000))
	srv = &server{"srv", settle(fill(make(table), 8, 10_000))}
	dropped = &server{"dropped", settle(fill(make(table), 9, 12_345))}
	for i := range shards {
		shards[i] = settle(fill(make(table), random(10+i), 1_000+i))
	}
	tell()
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return
	}
	fill(grown, 101, 70_000)
	settle(grown)
	for k := range shrunk {
		if len(shrunk) <= 29_000 {
			break
		}
		delete(shrunk, k)
	}
	for i := 0; i < 10; i++ {
		delete(progressing, 0) // each moves one old bucket
	}
	fresh := settle(fill(make(table), 105, 9_000))
	replaced = fresh
	fill(srv.sessions, 108, 3)
	dropped = nil
	created = &server{"created", settle(fill(make(table), 109, 54_321))}
	for i := range shards {
		shards[i] = settle(fill(make(table), random(110+i), 3_000+i)) // all made anew
	}
	tell()
	_, _ = in.ReadString('\n')
	runtime.KeepAlive(all())
}

func all() []any {
	return []any{grown, shrunk, stalled, progressing, replaced, sparse, still, srv, dropped, created, shards}
}
