// Keys that are cut out of large texts keep the texts; copies of them do not.
package main

import (
	"runtime"
	"strconv"
)

const keysHeld = 1000

func cut(clone bool) map[string]int {
	m := make(map[string]int, keysHeld)
	for i := 0; i < keysHeld; i++ {
		buffer := make([]byte, 4096)
		copy(buffer[100:], "key-"+strconv.Itoa(100_000+i))
		key := string(buffer)[100:110]
		if clone {
			key = string(append([]byte(nil), key...))
		}
		m[key] = i
	}
	return m
}

func main() {
	base := settled()
	m := cut(false)
	with := settled()
	say("bytes_with_substrings", with-base)
	copied := cut(true)
	say("bytes_with_copies", gap(settled(), with))
	runtime.KeepAlive(copied)
	keep = append(keep, note("subject", m))
	ready()
}
