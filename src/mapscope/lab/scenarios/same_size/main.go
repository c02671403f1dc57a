// Inserts and deletes pile up overflow buckets until a growth to the same size begins (classic). It is left there.
package main

func main() {
	const buckets = 4096
	m := make(map[uint64]uint64, buckets*5) // of so many buckets in every release
	fresh, old := random(1), random(1)
	for i := 0; i < buckets*4; i++ {
		m[fresh.next()] = 1
	}
	start := state(m)
	var writes uint64
	for ; writes < 20_000_000; writes++ {
		delete(m, old.next())
		m[fresh.next()] = 1
		if classic && growing(m) {
			break
		}
		if !classic && writes == 1_000_000 {
			break
		}
	}
	now := state(m)
	say("writes", writes)
	say("entries", now.Count)
	say("buckets_before", start.Slots/8)
	say("buckets_after", now.Slots/8)
	say("noldbuckets", now.NOld)
	say("same_size_flag", now.Flags&8)
	sayFlag("two_arrays", now.Old != 0)
	keep = append(keep, note("subject", m))
	ready()
}
