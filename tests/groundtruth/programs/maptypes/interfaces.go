package main

import (
	"strconv"

	"truth/probe"
)

// interfaceKeys makes the maps with interfaces as keys. Not generic: Go 1.19 does not count interfaces as comparable.
func interfaceKeys() {
	var anys []map[any]int
	var namers []map[namer]int
	for _, n := range []int{0, 1, 7, 8, 9, 100, 1000, 1665} {
		m := make(map[any]int)
		for i := 0; i < n; i++ {
			switch i % 3 {
			case 0:
				m[i] = i
			case 1:
				m[word(i)] = i
			case 2:
				m[newRec(i)] = i
			}
		}
		anys = append(anys, probe.Add("any-int/"+strconv.Itoa(n), "any-slice", m))
		o := make(map[namer]int, n)
		for i := 0; i < n; i++ {
			if i&1 == 0 {
				o[tag(word(i))] = i
			} else {
				o[newRec(i)] = i
			}
		}
		namers = append(namers, probe.Add("namer-int/"+strconv.Itoa(n), "any-slice", o))
	}
	halved := make(map[any]int)
	for i := 0; i < 1000; i++ {
		halved[i] = i
	}
	for i := 0; i < 1000; i += 2 {
		delete(halved, i)
	}
	anys = append(anys, probe.Add("any-int/halved", "any-slice", halved))
	keep = append(keep, anys, namers)
}
