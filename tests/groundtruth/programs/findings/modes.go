package main

import (
	"runtime"
	"strconv"

	"truth/probe"
)

// random is xorshift: the same keys in every run, and no other package.
type random uint64

func (r *random) next() uint64 {
	x := uint64(*r)
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	*r = random(x)
	return x
}

func rebuilt[K comparable, V any](m map[K]V) map[K]V {
	fresh := make(map[K]V, len(m))
	for k, v := range m {
		fresh[k] = v
	}
	return fresh
}

// stalled: filled until the last growth has begun, then never written again (classic).
func stalled() {
	twins("stalled", func() map[uint64]uint64 {
		m := make(map[uint64]uint64)
		keys := random(1)
		for i := 0; i < 60_000 || !probe.Growing(m); i++ {
			m[keys.next()] = 1
		}
		return m
	}, func(m map[uint64]uint64) map[uint64]uint64 {
		for probe.Growing(m) {
			delete(m, 0) // never a key of xorshift
		}
		return m
	})
}

// sparse: what is left of a large map after most of it was deleted.
func sparse() {
	itself("sparse", func() map[uint64]uint64 {
		m := make(map[uint64]uint64)
		keys := random(2)
		for i := 0; i < 200_000; i++ {
			m[keys.next()] = 1
		}
		left := 2000
		for k := range m {
			if left--; left < 0 {
				delete(m, k)
			}
		}
		return settled(m)
	}, rebuilt[uint64, uint64])
}

// settled ends a growth, if one has begun, with deletes of a key that is not there.
func settled(m map[uint64]uint64) map[uint64]uint64 {
	for probe.Growing(m) {
		delete(m, 0)
	}
	return m
}

// hinted: made for far more than ever came.
func hinted() {
	itself("hinted", func() map[uint64]uint64 {
		m := make(map[uint64]uint64, 1_000_000)
		keys := random(3)
		for i := 0; i < 20_000; i++ {
			m[keys.next()] = 1
		}
		return m
	}, rebuilt[uint64, uint64])
}

// churn: of constant size, each insert after a delete. Go 1.24 drops tombstones only when a table grows.
func churn() {
	itself("churn", func() map[uint64]uint64 {
		m := make(map[uint64]uint64)
		fresh, old := random(4), random(4)
		for i := 0; i < 20_000; i++ {
			m[fresh.next()] = 1
		}
		for i := 0; i < 1_000_000; i++ {
			delete(m, old.next())
			m[fresh.next()] = 1
		}
		return settled(m)
	}, rebuilt[uint64, uint64])
}

type large struct{ pad [15]uint64 } // 120 bytes: in the slot

// inline: a sparse map whose slots are large.
func inline() {
	itself("inline", func() map[uint64]large {
		m := make(map[uint64]large)
		keys := random(5)
		for i := 0; i < 20_000; i++ {
			m[keys.next()] = large{}
		}
		left := 200
		for k := range m {
			if left--; left < 0 {
				delete(m, k)
			}
		}
		for probe.Growing(m) {
			delete(m, 0)
		}
		return m
	}, rebuilt[uint64, large])
}

// substrings: short keys cut out of buffers that nothing else needs.
func substrings() {
	itself("substrings", func() map[string]int {
		m := make(map[string]int, 1000)
		for i := 0; i < 1000; i++ {
			buffer := make([]byte, 4096)
			copy(buffer[100:], "key-"+strconv.Itoa(100_000+i))
			m[string(buffer)[100:110]] = i
		}
		return m
	}, func(m map[string]int) map[string]int {
		fresh := make(map[string]int, 1000)
		for k, v := range m {
			fresh[string(append([]byte(nil), k...))] = v
		}
		return fresh
	})
}

type payload [1024]byte

// stale: values deleted during a growth that one range before it has forbidden to clear the old buckets (classic).
func stale() {
	m := twins("stale", func() map[uint64]*payload {
		m := make(map[uint64]*payload)
		keys := random(6)
		for i := 0; i < 5500 || !probe.Growing(m); i++ {
			m[keys.next()] = new(payload)
			if i == 5000 {
				for range m { // marks the map as iterated, sticky until the next growth
					break
				}
			}
		}
		for i, gone := 0, random(6); i < 5000; i++ { // late ones too, many of which lie in overflow buckets
			if key := gone.next(); i%25 == 24 {
				delete(m, key)
			}
		}
		if !probe.Growing(m) {
			panic("the growth is over")
		}
		return m
	}, func(m map[uint64]*payload) map[uint64]*payload {
		for probe.Growing(m) {
			delete(m, 0)
		}
		return m
	})
	counted = 1024 * probe.StaleElems(m)
	runtime.KeepAlive(m)
}

// halfway: most old buckets are evacuated, and behind an overflow bucket in the old array there is one outside of it that
// no old bucket leads to any more. Which map comes to have that its seed decides.
func halfway() {
	for {
		m := make(map[uint64]*payload)
		one := new(payload)
		keys := random(7)
		for i := 0; i < 5500 || !probe.Growing(m); i++ {
			m[keys.next()] = one
		}
		for i := 0; i < 600; i++ {
			m[keys.next()] = one
		}
		if !probe.Growing(m) {
			panic("the growth is over")
		}
		if counted = probe.Hanging(m); counted > 0 {
			keep = append(keep, probe.Add("halfway", "any", m))
			subject = probe.Word(&m)
			return
		}
	}
}
