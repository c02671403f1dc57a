// A map is filled until a growth has begun, and then only read: the old array stays.
package main

import (
	"runtime"
	"sync"
)

func filled(seed random) map[uint64]uint64 {
	m := make(map[uint64]uint64)
	for i := 0; i < 60_000 || (classic && !growing(m)); i++ {
		m[seed.next()] = 1
	}
	return m
}

func main() {
	m := note("subject", filled(1))
	keep = append(keep, m)
	start := state(m)
	var sum uint64
	for i := 0; i < 3; i++ { // reads, loops, collections
		for k, v := range m {
			sum += k + v + m[k]
		}
		runtime.GC()
	}
	afterReads := state(m)
	var loops sync.WaitGroup
	for i := 0; i < 4; i++ { // loops at the same time
		loops.Add(1)
		go func() {
			defer loops.Done()
			for k, v := range m {
				_ = k + v
			}
		}()
	}
	loops.Wait()
	afterLoops := state(m)
	say("evacuated_at_start", start.Evacuated)
	say("evacuated_after_reads", afterReads.Evacuated)
	say("evacuated_after_loops", afterLoops.Evacuated)
	say("nevacuate", afterLoops.Nevacuate)
	say("noldbuckets", afterLoops.NOld)
	sayFlag("old_array_stays", afterLoops.Old != 0 && afterLoops.Old == start.Old)
	sayFlag("array_stays", afterLoops.Array == start.Array && afterLoops.Slots == start.Slots)

	twin := filled(1)
	before := settled()
	say("writes_to_finish", finish(twin, 0))
	say("freed_by_writes", gap(before, settled()))
	sayFlag("twin_grows", growing(twin))
	runtime.KeepAlive(twin)
	ready()
}
