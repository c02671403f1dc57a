// A growth is left in its middle: entries that only the old buckets hold live on; and, where a loop was under way before
// the growth, so do values that were deleted since.
package main

import (
	"runtime"
	"sync/atomic"
)

type payload struct {
	pad [127]uint64
	key uint64
}

var finalized [1 << 16]uint32 // by number of the entry

func main() {
	m := make(map[uint64]*payload)
	keys := random(6)
	count := 0
	for ; count < 5500 || (classic && !growing(m)); count++ {
		p := &payload{key: uint64(count)}
		runtime.SetFinalizer(p, func(p *payload) { atomic.StoreUint32(&finalized[p.key], 1) })
		m[keys.next()] = p
		if count == 5000 {
			for range m { // marks the map as iterated, until the next growth
				break
			}
		}
		if count > 20_000 {
			break
		}
	}
	for i, gone := 0, random(6); i < 200; i++ { // each moves a bucket or two of a classic map
		delete(m, gone.next())
	}
	for i := 0; i < 5; i++ {
		runtime.GC()
	}
	for i := 0; i < 1000; i++ {
		runtime.Gosched()
	}
	runtime.GC()
	deleted, present := uint64(0), uint64(0)
	for i := 0; i < count; i++ {
		if atomic.LoadUint32(&finalized[i]) != 0 {
			if i < 200 {
				deleted++
			} else {
				present++
			}
		}
	}
	now := state(m)
	say("old_buckets", now.NOld)
	say("old_buckets_not_moved", now.NOld-now.Evacuated)
	say("entries", now.Count)
	say("present_but_finalized", present)
	say("deleted", 200)
	say("deleted_and_finalized", deleted)
	keep = append(keep, note("subject", m))
	ready()
}
