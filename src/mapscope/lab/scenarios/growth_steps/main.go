// One growth, write by write.
package main

import (
	"runtime"
	"sort"
)

const exponent = 10 // of the number of buckets that the growth starts from

var empty map[uint64]uint64

func main() {
	empty = make(map[uint64]uint64)
	sayFlag("array_of_empty", state(empty).Array != 0)
	m := note("subject", make(map[uint64]uint64))
	keep = append(keep, m)
	if classic {
		steps(m)
	} else {
		tables(m)
	}
	allocations()
	ready()
}

// steps fills a classic map to the growth from 2^exponent buckets, and follows that.
func steps(m map[uint64]uint64) {
	keys := random(1)
	before := state(m)
	for {
		before = state(m)
		m[keys.next()] = 1
		now := state(m)
		if before.Old == 0 && now.Old != 0 && before.B == exponent {
			break
		}
	}
	now := state(m)
	say("starts_at", now.Count)
	say("B_before", before.B)
	say("B_after", now.B)
	sayFlag("old_is_previous_array", now.Old == before.Array)
	sayFlag("array_replaced_at_start", now.Array != before.Array)
	say("noldbuckets", now.NOld)
	start := now
	writes, most, ahead, behind := uint64(1), now.Evacuated, uint64(0), uint64(0)
	var with uint64
	for {
		last := now
		if last.NOld-last.Evacuated <= 2 {
			with = settled()
		}
		delete(m, 0) // an absent key: the count stays
		writes++
		now = state(m)
		if now.Old == 0 {
			break
		}
		if step := now.Evacuated - last.Evacuated; step > most {
			most = step
		}
		if now.Evacuated > now.Nevacuate {
			ahead++
		}
		if now.Evacuated < now.Nevacuate {
			behind++
		}
	}
	say("writes_to_finish", writes)
	say("most_a_write", most)
	say("times_ahead_of_nevacuate", ahead)
	say("times_behind_nevacuate", behind)
	say("marks_in_old", start.Evacuated)
	say("nevacuate_at_end", now.Nevacuate)
	sayFlag("array_replaced_at_end", now.Array != start.Array)
	say("freed_at_end", gap(with, settled()))
	say("count", now.Count)
	say("entries_in_buckets", entries(m))
}

// tables finds where a Swiss map gets its first table, its second capacity, and its second table.
func tables(m map[uint64]uint64) {
	keys := random(1)
	var first, second, split, slots, most uint64
	for split == 0 {
		last := state(m)
		m[keys.next()] = 1
		now := state(m)
		if first == 0 && now.Tables == 1 {
			first = now.Count
		} else if first != 0 && second == 0 && now.Slots > last.Slots {
			second, slots = now.Count, last.Slots
		}
		if now.Tables > 1 {
			split = now.Count
		}
		if now.Slots-last.Slots > most {
			most = now.Slots - last.Slots
		}
	}
	say("first_table_at", first)
	say("first_growth_at", second)
	say("slots_before", slots)
	say("first_split_at", split)
	say("tables", state(m).Tables)
}

// allocations counts the inserts that allocate, of a map that grows.
func allocations() {
	m := make(map[uint64]uint64)
	var figures runtime.MemStats
	var sizes []uint64
	keys := random(2)
	runtime.ReadMemStats(&figures)
	last := figures.TotalAlloc
	for i := 0; i < 2000; i++ {
		m[keys.next()] = 1
		runtime.ReadMemStats(&figures)
		sizes = append(sizes, 0)
		if bytes := figures.TotalAlloc - last; bytes > 1024 {
			sizes[i] = bytes
		}
		runtime.ReadMemStats(&figures)
		last = figures.TotalAlloc
	}
	steps := uint64(0)
	for _, bytes := range sizes {
		if bytes > 0 {
			steps++
		}
	}
	sort.Slice(sizes, func(i, j int) bool { return sizes[i] > sizes[j] })
	say("inserts", uint64(len(sizes)))
	say("inserts_that_allocate", steps)
	say("largest_step", sizes[0])
	runtime.KeepAlive(m)
}
