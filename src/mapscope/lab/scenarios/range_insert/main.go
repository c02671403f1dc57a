// Delete and insert inside a range: a growth begins and ends while the loop goes on.
package main

import "runtime"

const entriesBefore = 13_000

func filled(seed *random) map[uint64]uint64 {
	m := make(map[uint64]uint64)
	for i := 0; i < entriesBefore; i++ {
		m[seed.next()] = 1
	}
	finish(m, 0)
	return m
}

func main() {
	keys := random(1)
	m := note("subject", filled(&keys))
	keep = append(keep, m)
	start := state(m)
	var turns, begun, ended, growths, pinned uint64
	inside := uint64(0)
	for k := range m {
		delete(m, k)
		m[keys.next()] = 1
		m[keys.next()] = 1 // one more each turn
		turns++
		now := state(m)
		if begun == 0 && (now.Old != 0 || now.Slots != start.Slots) {
			begun = turns
		}
		if begun != 0 && ended == 0 && now.Old == 0 {
			ended = turns
			inside = 1
			with := settled()
			pinned = with
		}
		if now.Slots != start.Slots {
			growths++
		}
		if ended != 0 && (growths > 0 || classic) {
			break
		}
	}
	pinned = gap(pinned, settled())
	say("turns", turns)
	say("growth_begins_in_turn", begun)
	say("growth_ends_in_turn", ended)
	say("ended_inside_the_loop", inside)
	say("pinned_by_the_iterator", pinned)
	say("slots_before", start.Slots)
	say("slots_after", state(m).Slots)

	// the same growth without a loop
	if classic {
		twinKeys := random(1)
		twin := filled(&twinKeys)
		for !growing(twin) {
			twin[twinKeys.next()] = 1
		}
		turns = 0
		for noted := state(twin); noted.Old != 0; noted = state(twin) {
			for k := range map[uint64]uint64{twinKeys.next(): 1} { // a key that is not there, as in the loop above
				delete(twin, k)
			}
			twin[twinKeys.next()] = 1
			twin[twinKeys.next()] = 1
			turns++
		}
		say("turns_without_a_loop", turns)
		say("turns_in_the_loop", ended-begun+1)
		runtime.KeepAlive(twin)
	}
	ready()
}
