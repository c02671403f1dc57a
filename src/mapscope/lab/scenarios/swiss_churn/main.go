// A map of constant size whose entries are replaced all the time.
package main

func main() {
	const entriesHeld = 20_000
	m := make(map[uint64]uint64)
	fresh, old := random(4), random(4)
	base := settled()
	for i := 0; i < entriesHeld; i++ {
		m[fresh.next()] = 1
	}
	finish(m, 0)
	start := state(m)
	before := settled() - base
	for i := 0; i < 5_000_000; i++ {
		delete(m, old.next())
		m[fresh.next()] = 1
	}
	finish(m, 0)
	say("bytes_before", before)
	say("bytes_after", settled()-base)
	say("slots_before", start.Slots)
	say("slots_after", state(m).Slots)
	say("entries", uint64(len(m)))
	keep = append(keep, note("subject", m))
	ready()
}
