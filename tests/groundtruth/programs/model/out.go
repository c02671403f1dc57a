package main

import (
	"os"
	"strconv"
)

var out []byte

func text(s string) { out = append(out, s...) }

func num(n uint64) { out = strconv.AppendUint(out, n, 10) }

// member writes ,"name":n
func member(name string, n uint64) {
	text(",\"" + name + "\":")
	num(n)
}

// list writes ,"name":[1,2,3]; the largest number of 64 bits stands for "none".
func list(name string, numbers []uint64) {
	text(",\"" + name + "\":[")
	for i, n := range numbers {
		if i > 0 {
			text(",")
		}
		num(n)
	}
	text("]")
}

// bytes writes eight bytes as hexadecimal digits.
func eight(a uintptr) {
	const digits = "0123456789abcdef"
	text("\"")
	for i := uintptr(0); i < 8; i++ {
		b := u8(a + i)
		out = append(out, digits[b>>4], digits[b&15])
	}
	text("\"")
}

func flush(limit int) {
	if len(out) > limit {
		os.Stdout.Write(out)
		out = out[:0]
	}
}
