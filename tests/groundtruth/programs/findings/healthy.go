package main

import (
	"strconv"

	"truth/probe"
)

// turns of the LRU: so often is each of its entries replaced.
func turns() int {
	if probe.Classic {
		return 3
	}
	return 20
}

type record struct {
	id   int
	name string
	tags []string
}

// finished ends a growth that the last insert has begun, as a program that goes on writing does.
func finished[K comparable, V any](m map[K]V, absent K) map[K]V {
	for probe.Growing(m) {
		delete(m, absent)
	}
	return m
}

// healthy holds states that resemble findings and are none.
func healthy() {
	note := func(m any) { keep = append(keep, m) }
	for _, n := range []int{3, 8, 30, 100, 333, 1000, 3000, 10_000, 14_000, 33_333, 60_000} {
		words := make(map[uint64]uint64)
		named := make(map[string]*record)
		hinted := make(map[int]string, n)
		for i := 0; i < n; i++ {
			words[uint64(i)+1] = 1
			named["name-"+strconv.Itoa(i)] = &record{id: i}
			hinted[i] = "x"
		}
		finished(words, 0)
		finished(named, "")
		note(probe.Add("words/"+strconv.Itoa(n), "any", words))
		note(probe.Add("named/"+strconv.Itoa(n), "any", named))
		note(probe.Add("hinted/"+strconv.Itoa(n), "any", hinted))
	}
	// presized and not yet filled: empty, and a third of the way
	note(probe.Add("presized/empty", "any", make(map[uint64]uint64, 200_000)))
	filling := make(map[uint64]uint64, 200_000)
	for i := 0; i < 70_000; i++ {
		filling[uint64(i)] = 1
	}
	note(probe.Add("presized/filling", "any", filling))
	// cleared for reuse
	reused := make(map[uint64]uint64)
	for i := 0; i < 100_000; i++ {
		reused[uint64(i)+1] = 1
	}
	finished(reused, 0)
	wipe(reused)
	note(probe.Add("cleared", "any", reused))
	// half deleted
	half := make(map[uint64]uint64)
	for i := 0; i < 50_000; i++ {
		half[uint64(i)+1] = 1
	}
	for i := 0; i < 25_000; i++ {
		delete(half, uint64(i)+1)
	}
	note(probe.Add("half", "any", finished(half, 0)))
	// two maps of one place, of sizes s and 2s
	for _, n := range []int{20_000, 40_000} {
		m := make(map[int]*record)
		for i := 0; i < n; i++ {
			m[i+1] = &record{id: i}
		}
		note(probe.Add("twins/"+strconv.Itoa(n), "any", finished(m, 0)))
	}
	// a steady LRU: the oldest goes when a new one comes. Short-lived: a long churn does bloat classic maps and those of
	// 1.24, which is a finding (the mode churn measures it)
	lru := make(map[uint64]uint64)
	for i := 0; i < 10_000; i++ {
		lru[uint64(i)+1] = 1
	}
	for i := 10_000; i < 10_000*turns(); i++ {
		delete(lru, uint64(i-10_000)+1)
		lru[uint64(i)+1] = 1
	}
	note(probe.Add("lru", "any", finished(lru, 0)))
	// small maps: growths of a few hundred bytes, emptied sets, attributes
	var small []map[string]string
	for i := 0; i < 3000; i++ {
		m := make(map[string]string)
		for j := 0; j < i%15; j++ {
			m["attribute-"+strconv.Itoa(j)] = "v"
		}
		if i%50 == 0 {
			wipe(m)
		}
		small = append(small, probe.Add("small/"+strconv.Itoa(i), "any", m))
	}
	note(small)
	// keys cut out of lines that they take most of
	settings := make(map[string]string)
	for i := 0; i < 5000; i++ {
		line := "service.option.number." + strconv.Itoa(i) + "=" + strconv.Itoa(i*i)
		for j := range line {
			if line[j] == '=' {
				settings[line[:j]] = line[j+1:]
			}
		}
	}
	note(probe.Add("settings", "any", finished(settings, "")))
	// large values in a full map
	blocks := make(map[uint64]large)
	for i := 0; i < 7000; i++ {
		blocks[uint64(i)+1] = large{}
	}
	note(probe.Add("blocks", "any", finished(blocks, 0)))
}
