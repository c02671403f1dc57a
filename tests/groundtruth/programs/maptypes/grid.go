package main

import (
	"strconv"

	"truth/probe"
)

// keep holds everything that is reached through an interface: a typed word at the start of every path.
var keep []any

type box[M any] struct {
	label string
	inner *shelf[M]
}

type shelf[M any] struct {
	before [3]int
	maps   []M
}

type lister[M any] interface{ List() []M }

func (s *shelf[M]) List() []M { return s.maps }

// unlimited keys of a type make the whole row of sizes; a type with few keys makes what it can.
func grid[K comparable, V any](label string, most int, large bool, key func(int) K, elem func(int) V) {
	gridOf(label, most, large, func(hint int) map[K]V {
		if hint < 0 {
			return make(map[K]V)
		}
		return make(map[K]V, hint)
	}, key, elem)
}

func gridNamed() {
	gridOf("generic", all, false, func(hint int) Table[string, int] {
		if hint < 0 {
			return make(Table[string, int])
		}
		return make(Table[string, int], hint)
	}, word, func(i int) int { return i })
	gridOf("named", all, false, func(hint int) Registry {
		if hint < 0 {
			return make(Registry)
		}
		return make(Registry, hint)
	}, word, newRec)
}

var rows, deleted int

func gridOf[M ~map[K]V, K comparable, V any](label string, most int, large bool, create func(int) M, key func(int) K, elem func(int) V) {
	var maps []M
	holder := rows % 7
	reach := [...]string{"any-slice", "any-pointers", "any-channel", "any-map", "any-array", "interface", "any-struct"}[holder]
	note := func(state string, m M) M {
		maps = append(maps, probe.Add(label+"/"+state, reach, m))
		return m
	}
	grow := func(m M, from, to int) M {
		for i := from; i < to && i < most; i++ {
			m[key(i)] = elem(i)
		}
		return m
	}
	note("made", create(-1))
	note("made-100", create(100))
	sizes := []int{1, 7, 8, 9, 100, 1000}
	if large {
		sizes = append(sizes, 30000)
	}
	for _, n := range sizes {
		if n <= most {
			note(strconv.Itoa(n), grow(create(-1), 0, n))
		}
	}
	note("hint-1000", grow(create(1000), 0, 1000))
	emptied := note("emptied", grow(create(-1), 0, 100))
	for k := range emptied { // not a loop of deletes alone: the compiler would make a clear of it
		delete(emptied, k)
		deleted++
	}
	wipe(note("cleared", grow(create(-1), 0, 100)))
	if most >= 1000 {
		growing := note("growing", grow(create(-1), 0, 1300))
		for i := 1300; i < 3400 && i < most && !probe.Growing(growing); i++ {
			growing[key(i)] = elem(i)
		}
		halved := note("halved", grow(create(-1), 0, 1000))
		left := 500
		for k := range halved {
			if left == 0 {
				break
			}
			delete(halved, k)
			left--
		}
		churned := note("churned", grow(create(-1), 0, 600))
		for i := 600; i < 3000; i++ { // one in, one out
			churned[key(i)] = elem(i)
			for k := range churned {
				delete(churned, k)
				break
			}
		}
	}
	switch holder {
	case 0:
		keep = append(keep, maps)
	case 1:
		keep = append(keep, &box[M]{label, &shelf[M]{maps: maps}})
	case 2:
		queue := make(chan M, len(maps)+2)
		for _, m := range maps {
			queue <- m
		}
		keep = append(keep, queue)
	case 3:
		index := make(map[int]M)
		for i, m := range maps {
			index[i] = m
		}
		keep = append(keep, probe.Add(label+"/index", "any", index))
	case 4:
		var array [24]M
		copy(array[:], maps)
		keep = append(keep, &array)
	case 5:
		keep = append(keep, lister[M](&shelf[M]{maps: maps}))
	case 6:
		keep = append(keep, struct {
			n    int
			maps []M
		}{len(maps), maps})
	}
	rows++
}

// nested makes maps whose elems are maps, all of them known.
func nested() {
	for _, n := range []int{0, 1, 8, 9, 100} {
		outer := probe.Add("nested/"+strconv.Itoa(n), "any", make(map[string]map[int]string))
		for i := 0; i < n; i++ {
			inner := make(map[int]string)
			for j := 0; j < i%12; j++ {
				inner[j] = word(j)
			}
			outer[word(i)] = probe.Add("nested/"+strconv.Itoa(n)+"/"+strconv.Itoa(i), "elem", inner)
		}
		keep = append(keep, outer)
	}
	three := probe.Add("nested/three", "any", make(map[int]map[int]map[int]int))
	for i := 0; i < 10; i++ {
		middle := probe.Add("nested/three/"+strconv.Itoa(i), "elem", make(map[int]map[int]int))
		three[i] = middle
		for j := 0; j < 3; j++ {
			middle[j] = probe.Add("nested/three/"+strconv.Itoa(i)+"/"+strconv.Itoa(j), "elem", map[int]int{1: i, 2: j})
		}
	}
	million := probe.Add("int-int/1000000", "any", make(map[int]int))
	for i := 0; i < 1_000_000; i++ {
		million[i] = i
	}
	keep = append(keep, three, million)
}
