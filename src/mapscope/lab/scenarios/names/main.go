// A program that uses maps of every kind of key, a sync.Map, reflection and a collection, so that the linker keeps what the
// claims speak of.
package main

import (
	"reflect"
	"runtime"
	"strconv"
	"sync"
)

type two struct{ a, b int }

func main() {
	words, numbers, pairs, small := map[string]int{}, map[uint64]*int{}, map[two]string{}, map[uint32]int{}
	var shared sync.Map
	for i := 0; i < 1000; i++ {
		words[strconv.Itoa(i)]++
		numbers[uint64(i)] = &i
		pairs[two{i, i}] = "x"
		small[uint32(i)]++
		shared.Store(i, i)
		delete(numbers, uint64(i/2))
		delete(words, strconv.Itoa(i/2))
		delete(small, uint32(i/2))
	}
	sum := 0
	for _, v := range words {
		sum += v + len(pairs[two{v, v}])
	}
	for iter := reflect.ValueOf(small).MapRange(); iter.Next(); {
		sum += int(iter.Value().Int())
	}
	shared.Range(func(k, v any) bool { sum += v.(int); return true })
	runtime.GC()
	keep = append(keep, note("words", words), note("numbers", numbers), note("pairs", pairs), note("small", small), &shared)
	say("sum", uint64(sum))
	ready()
}
