// Command heap fills its heap with a mix of maps, structs, slices and strings, about 200 bytes an object, collects three
// times, says what it holds, and waits until its standard input ends.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
)

// Record is what most of the heap is made of: one of these, its strings, its tags, its payload.
type Record struct {
	ID      uint64
	Name    string
	Tags    []string
	Payload []byte
	Next    *Record
	Parent  *Record
	Extra   any
	Score   float64
}

// Attributes hang on one record in sixteen: a small map of its own.
type Attributes map[string]string

// Store is the root: shards by number, an index by name, and counters without pointers.
type Store struct {
	shards [64]map[uint64]*Record
	byName map[string]*Record
	counts map[uint64]uint64
	chain  *Record
}

var (
	store Store
	words = [...]string{"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"}
)

func record(id uint64) *Record {
	// payload sizes as they come: many small, few large
	size := 192 << (id % 4)
	if id%1024 == 0 {
		size = 16 << 10
	}
	made := &Record{ID: id, Name: "record-" + strconv.FormatUint(id, 10), Payload: make([]byte, size)}
	for at := range made.Payload { // memory that nobody touched would not be resident
		made.Payload[at] = byte(id)
	}
	made.Tags = make([]string, 0, 4)
	for tag := uint64(0); tag < 4; tag++ {
		word := words[(id>>tag)%8]
		if tag == 0 {
			word += strconv.FormatUint(id%4096, 10)
		}
		made.Tags = append(made.Tags, word)
	}
	switch id % 16 {
	case 0:
		made.Extra = Attributes{"owner": made.Name, "tag": made.Tags[0], "number": strconv.FormatUint(id, 16)}
	case 1, 2, 3:
		made.Extra = &id
	}
	return made
}

// fill makes records until they take so much. Chained, one leads to the one that was allocated before it; scattered,
// only the maps lead to them, in no order.
func fill(bytes uint64, scattered bool) {
	for shard := range store.shards {
		store.shards[shard] = map[uint64]*Record{}
	}
	store.byName = map[string]*Record{}
	store.counts = map[uint64]uint64{}
	var stats runtime.MemStats
	for id := uint64(0); ; id++ {
		made := record(id)
		before := store.chain
		store.chain = made
		if !scattered {
			made.Next = before
		}
		if id%7 == 0 {
			made.Parent = before
		}
		store.shards[id%64][id] = made
		if id%4 == 0 {
			store.byName[made.Name] = made
		}
		store.counts[id*0x9e3779b97f4a7c15] = id
		if id%4096 == 0 {
			runtime.ReadMemStats(&stats)
			// garbage does not count: look again behind a collection
			if stats.HeapAlloc >= bytes {
				runtime.GC()
				runtime.ReadMemStats(&stats)
				if stats.HeapAlloc >= bytes {
					return
				}
			}
		}
	}
}

func main() {
	megabytes := flag.Uint64("mb", 1024, "live heap to reach, in MB")
	scattered := flag.Bool("scattered", false, "no chain through all records")
	flag.Parse()
	fill(*megabytes<<20, *scattered)
	for i := 0; i < 3; i++ {
		runtime.GC()
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Printf("ready %d %d %d\n", os.Getpid(), stats.HeapAlloc, stats.HeapObjects)
	io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(&store)
}
