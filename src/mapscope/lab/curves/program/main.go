// Command curve fills maps and tells what they keep. The types K and V are in types.go, which the lab writes;
// threads.go is that of the scenarios.
//
//	curve residency TO POINTS   live bytes of one map at POINTS counts up to TO, and where growths begin and end
//	curve stalled TO MAPS       where growths begin and end, of MAPS maps
//	curve pinned FROM DOUBLINGS what a blocked range keeps after its map of FROM entries has grown by 2^k
package main

import (
	"encoding/json"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"unsafe"
)

type point struct {
	Count int    `json:"count"`
	Live  uint64 `json:"live"`
	B     int    `json:"b"`
	Old   bool   `json:"old"`
}

// growth is a time in which an old array is held: from the insert that began it to the one that ended it.
type growth struct {
	Begin int `json:"begin"`
	End   int `json:"end"`
}

type pin struct {
	Factor int    `json:"factor"`
	Bytes  uint64 `json:"bytes"`
}

func live() uint64 {
	var figures runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&figures)
	return figures.HeapAlloc
}

// settled is live when it has said the same thrice: threads and workers that the runtime makes late are there then.
func settled() uint64 {
	last, same := live(), 0
	for i := 0; i < 100 && same < 3; i++ {
		again := live()
		if same++; again != last {
			same = 0
		}
		last = again
	}
	return last
}

func number(at int) int {
	n, err := strconv.Atoi(os.Args[at])
	if err != nil {
		panic(err)
	}
	return n
}

// header of the map: hmap (runtime/map.go): B at 9, oldbuckets at 0x18.
func header(m map[K]V) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&m)) }

func growing(m map[K]V) bool {
	return classic && *(*unsafe.Pointer)(unsafe.Pointer(uintptr(header(m)) + 0x18)) != nil
}

func logarithm(m map[K]V) int {
	if !classic {
		return 0
	}
	return int(*(*uint8)(unsafe.Pointer(uintptr(header(m)) + 9)))
}

func spread(to, points int) map[int]bool {
	at := map[int]bool{1: true, to: true}
	for i := 1; i <= points; i++ {
		at[to*i/points] = true
	}
	return at
}

func residency(keys []K, points int) map[string]any {
	var found []point
	var growths []growth
	at := spread(len(keys), points)
	counts := make([]point, 0, 2*len(at)+200)
	found = counts
	base := settled()
	m := make(map[K]V)
	var zero V
	was := false
	for i, key := range keys {
		m[key] = zero
		now := growing(m)
		if now != was && now {
			growths = append(growths, growth{i + 1, 0})
		} else if now != was {
			growths[len(growths)-1].End = i + 1
		}
		if at[i+1] || now != was {
			found = append(found, point{i + 1, live() - base, logarithm(m), now})
		}
		was = now
	}
	runtime.KeepAlive(m)
	return map[string]any{"points": found, "growths": growths}
}

func stalled(keys []K, maps int) map[string]any {
	var growths []growth
	var zero V
	for k := 0; k < maps; k++ {
		m := make(map[K]V)
		was := false
		for i, key := range keys {
			m[key] = zero
			if now := growing(m); now != was {
				if now {
					growths = append(growths, growth{i + 1, len(keys) + 1})
				} else {
					growths[len(growths)-1].End = i + 1
				}
				was = now
			}
		}
	}
	return map[string]any{"growths": growths, "maps": maps}
}

func pinned(keys []K, from, doublings int) map[string]any {
	var found []pin
	var zero V
	for k := 0; k <= doublings; k++ {
		m := make(map[K]V)
		for _, key := range keys[:from] {
			m[key] = zero
		}
		at, on, done := make(chan bool), make(chan bool), make(chan bool)
		go func() {
			first := true
			for range m {
				if first {
					at <- true
					<-on
					first = false
				}
			}
			done <- true
		}()
		<-at
		for _, key := range keys[from : from<<k] {
			m[key] = zero
		}
		for i := 0; i < 2*from<<k; i++ { // ends a growth that is under way
			delete(m, keys[len(keys)-1])
		}
		with := live()
		on <- true
		<-done
		for i := 0; i < 100; i++ {
			runtime.Gosched()
		}
		without := live()
		if without > with {
			without = with
		}
		found = append(found, pin{1 << k, with - without})
		runtime.KeepAlive(m)
	}
	return map[string]any{"pinned": found}
}

func main() {
	var k K
	var v V
	count := number(2)
	if os.Args[1] == "pinned" {
		count = number(2)<<number(3) + 1
	}
	keys := make([]K, count)
	for i := range keys {
		keys[i] = key(i)
	}
	var out map[string]any
	switch os.Args[1] {
	case "residency":
		out = residency(keys, number(3))
	case "stalled":
		out = stalled(keys, number(3))
	case "pinned":
		out = pinned(keys, number(2), number(3))
	}
	kt, vt := reflect.TypeOf(&k).Elem(), reflect.TypeOf(&v).Elem()
	out["type"] = map[string]any{
		"key_size": kt.Size(), "elem_size": vt.Size(), "key_align": kt.Align(), "elem_align": vt.Align(),
		"name": reflect.TypeOf(map[K]V{}).String(), "classic": classic, "version": runtime.Version(),
	}
	runtime.KeepAlive(keys)
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		panic(err)
	}
}
