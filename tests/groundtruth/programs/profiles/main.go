// Command profiles makes maps at known places, writes its heap and goroutine profiles into its folder, and prints what
// each record of the memory profile is: the whole stack, runtime frames included, as the runtime itself names it.
//
// Every allocation is recorded (MemProfileRate 1; with a second argument the usual rate stays), and no collection happens between the files, so that all of them
// show the same records.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
)

var _ = func() bool {
	if len(os.Args) < 3 {
		runtime.MemProfileRate = 1
	}
	return true
}()

// record is one record of runtime.MemProfile.
type record struct {
	AllocObjects int64    `json:"alloc_objects"`
	AllocBytes   int64    `json:"alloc_bytes"`
	InUseObjects int64    `json:"inuse_objects"`
	InUseBytes   int64    `json:"inuse_bytes"`
	PCs          []string `json:"pcs"`
	Functions    []string `json:"functions"`
	Lines        []string `json:"lines"`
}

func main() {
	mode := os.Args[1]
	hold := modes[mode]
	if hold == nil {
		fmt.Fprintln(os.Stderr, "unknown mode", mode)
		os.Exit(2)
	}
	kept := hold()
	runtime.GC()
	runtime.GC()
	debug.SetGCPercent(-1)
	write("heap.pb.gz", "heap", 0)
	write("allocs.pb.gz", "allocs", 0)
	write("heap.txt", "heap", 1)
	all := records()
	write("goroutine.pb.gz", "goroutine", 0)
	write("goroutine1.txt", "goroutine", 1)
	write("goroutine2.txt", "goroutine", 2)
	leak := pprof.Lookup("goroutineleak") != nil
	if leak { // it collects, which publishes more records
		write("goroutineleak.pb.gz", "goroutineleak", 0)
	}
	truth := map[string]any{"records": all, "mode": mode, "goroutines": runtime.NumGoroutine(), "leak": leak, "places": places}
	if err := json.NewEncoder(os.Stdout).Encode(truth); err != nil {
		panic(err)
	}
	fmt.Println("READY")
	os.Stdin.Read(make([]byte, 1))
	runtime.KeepAlive(kept)
}

func write(name, profile string, level int) {
	file, err := os.Create(name)
	if err != nil {
		panic(err)
	}
	if err := pprof.Lookup(profile).WriteTo(file, level); err != nil {
		panic(err)
	}
	if err := file.Close(); err != nil {
		panic(err)
	}
}

func records() []record {
	n, _ := runtime.MemProfile(nil, true)
	all := make([]runtime.MemProfileRecord, n+100)
	n, ok := runtime.MemProfile(all, true)
	if !ok {
		panic("more records than there were")
	}
	var out []record
	for i := range all[:n] {
		one := &all[i]
		found := record{
			AllocObjects: one.AllocObjects, AllocBytes: one.AllocBytes,
			InUseObjects: one.InUseObjects(), InUseBytes: one.InUseBytes(),
		}
		for _, pc := range one.Stack() {
			found.PCs = append(found.PCs, fmt.Sprintf("%#x", pc))
		}
		frames := runtime.CallersFrames(one.Stack())
		for {
			frame, more := frames.Next()
			found.Functions = append(found.Functions, frame.Function)
			found.Lines = append(found.Lines, fmt.Sprintf("%s:%d", frame.File[strings.LastIndex(frame.File, "/")+1:], frame.Line))
			if !more {
				break
			}
		}
		out = append(out, found)
	}
	return out
}
