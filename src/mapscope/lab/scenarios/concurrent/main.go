// One goroutine writes to a map, another ranges over it: the program must die.
package main

func main() {
	m := make(map[int]int)
	for i := 0; i < 1000; i++ {
		m[i] = i
	}
	go func() {
		for i := 0; ; i++ {
			m[i%5000] = i
		}
	}()
	for {
		for k := range m {
			_ = k
		}
	}
}
