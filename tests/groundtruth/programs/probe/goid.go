package probe

import "runtime"

// Lister is an interface that programs and their plugins share.
type Lister interface{ Rows() int }

// Goid is the number in the first line of runtime.Stack, read without an allocation.
func Goid() uint64 {
	var text [64]byte
	n := runtime.Stack(text[:], false)
	id := uint64(0)
	for _, c := range text[len("goroutine "):n] {
		if c == ' ' {
			break
		}
		id = id*10 + uint64(c-'0')
	}
	return id
}
