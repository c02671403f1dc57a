// Of a large map nearly everything is deleted: its arrays stay. A new map of what is left is small.
package main

import "runtime"

func main() {
	m := make(map[uint64]uint64)
	keys := random(2)
	base := settled()
	for i := 0; i < 200_000; i++ {
		m[keys.next()] = 1
	}
	finish(m, 0)
	full := state(m)
	say("full_bytes", settled()-base)
	say("full_entries", full.Count)
	say("full_slots", full.Slots)
	left := 2000
	for k := range m {
		if left--; left < 0 {
			delete(m, k)
		}
	}
	finish(m, 0)
	now := state(m)
	with := settled()
	say("left_bytes", with-base)
	say("left_entries", now.Count)
	say("left_slots", now.Slots)
	fresh := make(map[uint64]uint64, len(m))
	for k, v := range m {
		fresh[k] = v
	}
	say("fresh_bytes", gap(settled(), with))
	runtime.KeepAlive(fresh)
	keep = append(keep, note("subject", m))
	ready()
}
