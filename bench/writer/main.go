// Command writer writes at random all over a heap of records, and measures the longest of its own waits: between one batch of
// writes and the next. For each line that it reads it says that of the time since the last, in microseconds.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"time"
)

type record [24]uint64

func main() {
	megabytes := flag.Int("mb", 1024, "size of the records")
	flag.Parse()
	records := make([]*record, *megabytes<<20/192)
	for i := range records {
		records[i] = new(record)
	}
	lines := make(chan bool)
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			lines <- true
		}
		close(lines)
	}()
	fmt.Println("ready")
	var longest time.Duration
	random := uint64(1)
	for last := time.Now(); ; {
		for i := 0; i < 200; i++ {
			random ^= random << 13
			random ^= random >> 7
			random ^= random << 17
			records[random%uint64(len(records))][random%24] = random
		}
		now := time.Now()
		if wait := now.Sub(last); wait > longest {
			longest = wait
		}
		last = now
		select {
		case _, open := <-lines:
			if !open {
				return
			}
			fmt.Println(longest.Microseconds())
			longest, last = 0, time.Now()
		default:
		}
	}
}
