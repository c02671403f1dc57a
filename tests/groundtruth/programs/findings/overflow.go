package main

import "truth/probe"

// Overflow buckets pile up where keys meet in few buckets. The bucket of a key is known only once it is in the map, so
// the program fills, looks where the keys lie, and keeps those in the wanted buckets.

const (
	bits    = 12 // 4096 buckets
	buckets = 1 << bits
	most    = buckets * 11 / 2 // below the load factor of every release: no growth by load
)

type crowd struct {
	m    map[uint64]uint64
	keys random
}

// gather fills the buckets of [from, to) with n keys in all; it stops early when stop says so.
func (c *crowd) gather(from, to, n int, stop func() bool) {
	var pool []uint64
	for len(pool) < n {
		scratch := len(c.m)
		for ; scratch < most; scratch++ {
			if stop() {
				return
			}
			c.m[c.keys.next()] = 1
		}
		var inside, outside []uint64
		probe.EachKey(c.m, func(bucket int, key uint64) {
			switch {
			case bucket >= from && bucket < to:
				inside = append(inside, key)
			case bucket > 0: // bucket 0 keeps the map from becoming empty, which would change its hashes
				outside = append(outside, key)
			}
		})
		for _, key := range outside {
			delete(c.m, key)
		}
		// what was inside stays in the pool, not in the map: it comes back at the end, all at once
		for _, key := range inside {
			delete(c.m, key)
		}
		pool = append(pool, inside...)
	}
	for _, key := range pool[:n] {
		c.m[key] = 1
		if stop() {
			return
		}
	}
}

// release deletes all keys of the buckets [from, to).
func (c *crowd) release(from, to int) {
	var gone []uint64
	probe.EachKey(c.m, func(bucket int, key uint64) {
		if bucket >= from && bucket < to {
			gone = append(gone, key)
		}
	})
	for _, key := range gone {
		delete(c.m, key)
	}
}

// crowded makes a map with want overflow buckets, and few keys.
func crowded(want int) *crowd {
	c := &crowd{m: make(map[uint64]uint64, most), keys: 7}
	if got := probe.Buckets(c.m); got != buckets {
		panic("another number of buckets than expected")
	}
	full := func() bool { return probe.Overflow(c.m) >= want }
	for from := 1; !full(); from += buckets / 8 {
		if from+buckets/8 > buckets {
			panic("not enough overflow buckets")
		}
		c.gather(from, from+buckets/8, most*9/10, full)
		c.release(1, buckets)
	}
	return c
}

// overflow: as many overflow buckets as the runtime tolerates, and an ordinary number of entries.
func overflow() {
	itself("overflow", func() map[uint64]uint64 {
		c := crowded(buckets - buckets/16)
		for len(c.m) < buckets*7/2 { // too many for half the buckets: a rebuilt map has as many
			c.m[c.keys.next()] = 1
		}
		if probe.Growing(c.m) {
			panic("a growth has begun")
		}
		return c.m
	}, rebuilt[uint64, uint64])
}

// sameSize: one overflow bucket too many starts a growth of the same size in a map that is then emptied.
func sameSize() {
	twins("same-size", func() map[uint64]uint64 {
		c := crowded(buckets)
		c.m[c.keys.next()] = 1 // the next insert starts it (tooManyOverflowBuckets)
		var gone []uint64      // a range that deletes would be compiled into clear, which drops the old array
		for k := range c.m {
			gone = append(gone, k)
		}
		for _, k := range gone {
			delete(c.m, k)
		}
		if !probe.Growing(c.m) {
			panic("the growth is over")
		}
		return c.m
	}, func(map[uint64]uint64) map[uint64]uint64 { return make(map[uint64]uint64) })
}
