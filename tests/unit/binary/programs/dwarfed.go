package main

import (
	"fmt"
	"os"
	"strings"
)

type Inner struct {
	A int32
	B string
}

type Record struct {
	Inner
	Name  string
	List  []Inner
	Any   any
	Table map[string]*Record
	Fn    func(int) int
	Pipe  chan Inner
	Fixed [3][5]uint16
	Word  uintptr
}

type Celsius float64

const Answer = 42
const Negative = -7

var Global = map[string]*Record{"a": {Name: "x"}}
var Heat Celsius = 36.6

func main() {
	fmt.Fprintln(os.Stderr, Global, Heat, Answer, Negative, len(os.Args), strings.ToUpper("q"))
}
