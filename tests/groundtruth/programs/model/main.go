// The truth for the models of the map: obeys a script on standard input, one operation a line, and after each says what
// the header of its map holds, as a line of JSON. What a model cannot know it says too: the hash of every key under every
// seed, and what iterators drew.
package main

import (
	"bufio"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"unsafe"
)

// kind is a map of one type. Keys and elems have numbers; the number of a zero key or elem is 0.
type kind interface {
	make(hint int)
	put(k, v uint64)
	drop(k uint64)
	get(k uint64) (uint64, bool)
	wipe()
	value() reflect.Value
	word() uintptr
	point(k uint64) unsafe.Pointer // a key of this number, to be hashed
	key(slot uintptr) uint64       // the number of the key in a slot
	elem(slot uintptr) uint64
	keyOf(v reflect.Value) uint64
	elemOf(v reflect.Value) uint64
}

var (
	subject kind
	header  uintptr // of the map
	descr   uintptr // its type descriptor
	hasher  func(unsafe.Pointer, uintptr) uintptr
	iters   []*reflect.MapIter
	known   []uint64 // keys that the script has named
	named   = map[uint64]bool{}
	chosen  []uint64 // of them those that the program chose
	seeded  uint64   // the seed for which all of them are told
	serial  uint64   = 1 << 20
)

func main() {
	if len(os.Args) > 3 && os.Args[1] == "curve" {
		curve(os.Args[2], numbers(os.Args[3:]))
		return
	}
	if len(os.Args) > 5 && os.Args[1] == "pin" {
		pin(os.Args[2], os.Args[3], os.Args[4], numbers(os.Args[5:]))
		return
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		words := strings.Fields(in.Text())
		n := make([]uint64, len(words))
		for i, word := range words[1:] {
			n[i+1], _ = strconv.ParseUint(strings.TrimPrefix(word, "n"), 10, 64)
			if word[0] == 'n' { // a key that the program chose
				n[i+1] = chosen[n[i+1]]
			}
		}
		text("{\"_\":0")
		switch words[0] {
		case "new": // hint + 1 (0 is none), kind
			begin(words[2], int(n[1])-1)
		case "put": // key, value
			meet(n[1])
			subject.put(n[1], n[2])
		case "near": // shift, mask, wanted, value: put a new key of which (hash >> shift) & mask is as wanted
			key := search(uint(n[1]), n[2], n[3])
			chosen = append(chosen, key)
			meet(key)
			member("key", key)
			subject.put(key, n[4])
		case "del":
			meet(n[1])
			subject.drop(n[1])
		case "get":
			meet(n[1])
			v, ok := subject.get(n[1])
			member("found", v)
			member("ok", bit(ok))
		case "clear":
			subject.wipe()
		case "iter":
			it := subject.value().MapRange()
			iters = append(iters, it)
			it.Next()
		case "next": // a no-op at the end of an iteration
			if it := iters[n[1]]; ptr(uintptr(unsafe.Pointer(it))+unsafe.Sizeof(reflect.Value{})) != 0 {
				it.Next()
			}
		case "stop":
			iters[n[1]] = nil
		case "look":
			look()
		}
		if words[0] == "iter" {
			iterator(iters[len(iters)-1])
		}
		if words[0] == "next" {
			iterator(iters[n[1]])
		}
		tell()
		text("}\n")
		flush(1 << 16)
	}
	runtime.KeepAlive(subject)
	flush(0)
}

func begin(name string, hint int) {
	subject = kinds()[name]
	subject.make(hint)
	header = subject.word()
	var boxed any = subject.value().Interface()
	descr = ptr(uintptr(unsafe.Pointer(&boxed)))
	hasher = *(*func(unsafe.Pointer, uintptr) uintptr)(at(descr + 0x48))
	seeded = seed()
	start()
}

// meet tells the hash of a key that the script names for the first time.
func meet(key uint64) {
	if named[key] {
		return
	}
	named[key] = true
	known = append(known, key)
	list("met", []uint64{seed(), key, hash(key)})
}

// tell writes the header, and the hashes of all keys when the map has a new seed.
func tell() {
	if seed() != seeded {
		seeded = seed()
		all := make([]uint64, 0, 2*len(known)+1)
		all = append(all, seeded)
		for _, key := range known {
			all = append(all, key, hash(key))
		}
		list("rehashed", all)
	}
	list("header", state())
}

func hash(key uint64) uint64 { return uint64(hasher(subject.point(key), uintptr(seed()))) }

func search(shift uint, mask, wanted uint64) uint64 {
	for {
		serial++
		if hash(serial)>>shift&mask == wanted {
			return serial
		}
	}
}

// entry writes the key and the elem at which an iterator stands; keys have numbers from 1.
func entry(it *reflect.MapIter, key uintptr) {
	if key == 0 {
		list("entry", []uint64{0, 0})
		return
	}
	list("entry", []uint64{subject.keyOf(it.Key()), subject.elemOf(it.Value())})
}

// slots writes the numbers of eight keys or elems.
func slots(number func(uintptr) uint64, first, stride uintptr) {
	text("[")
	for i := uintptr(0); i < 8; i++ {
		if i > 0 {
			text(",")
		}
		num(number(first + i*stride))
	}
	text("]")
}

func u8(a uintptr) uint64   { return uint64(*(*uint8)(at(a))) }
func u16(a uintptr) uint64  { return uint64(*(*uint16)(at(a))) }
func u32(a uintptr) uint64  { return uint64(*(*uint32)(at(a))) }
func u64(a uintptr) uint64  { return *(*uint64)(at(a)) }
func ptr(a uintptr) uintptr { return *(*uintptr)(at(a)) }

// at makes a pointer of an address; the objects are kept alive elsewhere.
func at(a uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&a)) }

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
