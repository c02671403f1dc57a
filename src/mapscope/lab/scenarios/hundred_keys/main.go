// The program of section 4.1: a million writes to 100 keys, with loops between them.
package main

import "fmt"

func main() {
	m := make(map[string]int)
	keep = append(keep, note("subject", m))
	last := state(m)
	var growths, lastGrowth, ended uint64
	for i := 0; i < 1_000_000; i++ {
		m[fmt.Sprintf("key-%d", i%100)] = i
		if i%1000 == 0 {
			for k := range m {
				_ = k
			}
		}
		now := state(m)
		if now.B != last.B || now.Slots > last.Slots {
			growths++
			lastGrowth = uint64(i) + 1
		}
		if last.Old != 0 && now.Old == 0 {
			ended = uint64(i) + 1
		}
		last = now
	}
	say("writes", 1_000_000)
	say("growths", growths)
	say("last_growth_at_write", lastGrowth)
	say("last_growth_ended_at_write", ended)
	fifty()
	sayFlag("old_at_end", last.Old != 0)
	say("B", last.B)
	say("slots", last.Slots)
	ready()
}

// fifty makes as many maps in the same way, so that what each holds stands out from what else comes and goes.
func fifty() {
	all := make([]map[string]int, 50)
	base := settled()
	for i := range all {
		all[i] = make(map[string]int)
		for j := 0; j < 5000; j++ {
			all[i][fmt.Sprintf("key-%d", j%100)] = j
			if j%1000 == 0 {
				for k := range all[i] {
					_ = k
				}
			}
		}
	}
	say("bytes_of_fifty_such_maps", gap(settled(), base))
	keep = append(keep, all)
}
