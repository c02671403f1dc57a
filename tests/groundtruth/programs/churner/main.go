// Command churner writes its heap all the time by a rule that a core of it can be held against: what is copied while it
// runs is stale by the time that it is stopped.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"
)

const (
	words   = 512 // of a block: one page
	writers = 2
	hot     = 16 // one block in so many is written most of the time
	warm    = 4  // one in so many is written at all: the rest lies in other huge pages
	burst   = 32
)

var (
	blocks   []uint64
	versions []uint64
	busy     [writers]uint64 // the block that each writer is at, plus 1
	rounds   uint64
	byNumber = map[uint64]uint64{}
	garbage  []byte
)

// write gives block i its next version: every word of it follows from that, its number and its place.
func write(writer int, i uint64) {
	atomic.StoreUint64(&busy[writer], i+1)
	version := versions[i] + 1
	atomic.StoreUint64(&versions[i], version)
	block := blocks[i*words : (i+1)*words]
	for at := range block {
		block[at] = version*0x9E3779B97F4A7C15 ^ (i<<16 + uint64(at))
	}
	atomic.StoreUint64(&busy[writer], 0)
}

// churn writes the blocks whose number is the writer's modulo the number of writers.
func churn(writer int, count uint64) {
	state := uint64(writer) + 1
	for {
		for n := 0; n < burst; n++ {
			state ^= state << 13
			state ^= state >> 7
			state ^= state << 17
			among := count / writers / warm
			if state%64 != 0 {
				among = count / writers / hot
			}
			write(writer, state/64%among*writers+uint64(writer))
		}
		atomic.AddUint64(&rounds, 1)
		time.Sleep(time.Millisecond)
	}
}

// waste takes memory and gives it back to the kernel, so that pages come and go.
func waste() {
	for {
		garbage = make([]byte, 4<<20)
		for at := 0; at < len(garbage); at += 512 {
			garbage[at] = byte(at)
		}
		garbage = nil
		debug.FreeOSMemory()
		time.Sleep(50 * time.Millisecond)
	}
}

func main() {
	megabytes, _ := strconv.Atoi(append(os.Args, "16")[1])
	count := uint64(megabytes) << 20 / (words * 8)
	blocks = make([]uint64, count*words)
	versions = make([]uint64, count)
	for i := uint64(0); i < count; i++ {
		write(0, i)
	}
	for i := uint64(0); i < 3000; i++ {
		byNumber[i] = i * i
	}
	go waste()
	for writer := 0; writer < writers; writer++ {
		go churn(writer, count)
	}
	document, _ := json.Marshal(map[string]uint64{
		"blocks":   uint64(uintptr(unsafe.Pointer(&blocks[0]))),
		"versions": uint64(uintptr(unsafe.Pointer(&versions[0]))),
		"busy":     uint64(uintptr(unsafe.Pointer(&busy[0]))),
		"count":    count,
		"words":    words,
		"writers":  writers,
		"map":      uint64(*(*uintptr)(unsafe.Pointer(&byNumber))),
		"entries":  uint64(len(byNumber)),
	})
	fmt.Printf("%s\nREADY\n", document)
	var line string
	for {
		if _, err := fmt.Scanln(&line); err != nil {
			break
		}
		fmt.Println(atomic.LoadUint64(&rounds))
	}
	runtime.KeepAlive(byNumber)
}
