package main

import (
	"reflect"
	"syscall"
)

type pair struct {
	number int
	b      *big
}

type node struct {
	above *node
	b     *big
}

type method struct{ n int }

func (m method) Hold(b *big) { <-never; use(b) }

//go:noinline
func look(p *pair) uint64 { return use(p.b) }

//go:noinline
func inFrame() {
	b := make1("live in a frame")
	use(<-never)
	use(b)
}

//go:noinline
func deadInFrame() {
	b := make1("dead in a frame")
	use(b)
	use(<-never)
}

//go:noinline
func inObject() {
	p := pair{1, make1("in a variable whose address is used later")}
	look(&p)
	use(<-never)
	look(&p)
}

//go:noinline
func deadInObject() {
	p := pair{1, make1("in a variable whose address was used")}
	look(&p)
	use(<-never)
}

//go:noinline
func chain(n int, above *node) uint64 {
	here := node{above: above}
	if n%4 == 0 {
		here.b = make1("in a chain of variables")
	}
	if n == 0 {
		use(<-never)
		sum := uint64(0)
		for at := &here; at != nil; at = at.above {
			sum += use(at.b)
		}
		return sum
	}
	return chain(n-1, &here)
}

//go:noinline
func deferred() {
	b := make1("captured by a deferred function")
	defer func() { use(b) }()
	use(<-never)
}

//go:noinline
func deferredInLoop() {
	for i := 0; i < 3; i++ {
		b := make1("captured by a function deferred in a loop")
		defer func() { use(b) }()
	}
	use(<-never)
}

//go:noinline
func panics() {
	defer func() { use(<-never) }()
	panic(make1("value of a panic"))
}

//go:noinline
func many(a, b, c, d, e, f, g, h, i, j, k, l *big) {
	use(<-never)
	use(a)
	use(l)
}

//go:noinline
func onStack() {
	many(make1("argument in a register"), nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, make1("argument on the stack"))
}

//go:noinline
func made() {
	function := reflect.MakeFunc(reflect.TypeOf(func(*big) {}), func(args []reflect.Value) []reflect.Value {
		use(<-never)
		use(args[0].Interface().(*big))
		return nil
	}).Interface().(func(*big))
	function(make1("argument of a made function"))
}

//go:noinline
func bound() {
	hold := reflect.ValueOf(method{1}).Method(0).Interface().(func(*big))
	hold(make1("argument of a method value"))
}

//go:noinline
func sends() { make(chan *big) <- make1("about to be sent") }

//go:noinline
func spinsOver() {
	b := make1("dead in a loop that runs")
	use(b)
	var stop atomic32
	spin(&stop)
}

//go:noinline
func spinsWith() {
	b := make1("live in a loop that runs")
	var stop atomic32
	spin(&stop)
	use(b)
}

// onItsStack has a map that does not escape: its header lies in the frame.
//
//go:noinline
func onItsStack() {
	counts := make(map[int]int)
	for i := 0; i < 7; i++ {
		counts[i] = i
	}
	use(<-never)
	spins.n += int32(counts[3])
}

// rangesThenSpins is stopped in a frame that still has the words of the ended loop: the collector scans such a frame
// conservatively, so what they point to may live.
//
//go:noinline
func rangesThenSpins() {
	held := map[int]*big{}
	for i := 0; i < 20; i++ {
		held[i] = make1("in a map that was ranged over")
	}
	for range held {
		spins.n++
	}
	for spins.n != -1 {
		spins.n |= 1
	}
}

//go:noinline
func ranges() {
	held := map[int]*big{}
	for i := 0; i < 8; i++ {
		held[i] = make1("in a map that is ranged over")
	}
	for range held {
		use(<-never)
	}
}

//go:noinline
func inSyscall() {
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		panic(err)
	}
	var one [1]byte
	b := make1("live during a system call")
	syscall.Read(fds[0], one[:])
	use(b)
}

//go:noinline
func crashes(b *big) {
	defer func() { use(<-never) }()
	*nowhere = int(use(b))
	use(b)
}

func holders() {
	for name, body := range map[string]func(){
		"hold-frame": inFrame, "hold-dead": deadInFrame, "hold-object": inObject, "hold-dead-object": deadInObject,
		"hold-chain": func() { chain(12, nil) }, "hold-defer": deferred, "hold-defer-loop": deferredInLoop,
		"hold-panic": panics, "hold-args": onStack, "hold-made": made, "hold-bound": bound, "hold-send": sends,
		"spin-dead": spinsOver, "spin-live": spinsWith, "hold-range": ranges, "hold-map": onItsStack, "spin-range": rangesThenSpins, "hold-syscall": inSyscall,
		"hold-crash": func() { crashes(make1("argument of a function that crashed")) },
	} {
		role(name, body)
	}
}
