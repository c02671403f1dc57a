package main

import (
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"truth/probe"
)

const entries = 5_000

// wide values make a table of a Swiss map weigh more than a goroutine and its channels.
type wide [15]uint64

type payload struct{ words [16]uint64 }

func numbers() map[uint64]wide { return numbersTo(entries) }

func numbersTo(last uint64) map[uint64]wide {
	m := make(map[uint64]wide)
	for i := uint64(1); i <= last; i++ {
		m[i] = wide{i}
	}
	return settled(m)
}

func payloads() map[uint64]*payload {
	m := make(map[uint64]*payload)
	for i := uint64(1); i <= entries; i++ {
		m[i] = new(payload)
	}
	return settled(m)
}

// settled ends a growth that the last insert has begun.
func settled[V any](m map[uint64]V) map[uint64]V {
	for probe.Growing(m) {
		delete(m, 0)
	}
	return m
}

// grown adds entries until the map is sixteen times as large.
func grown(m map[uint64]wide) {
	for i := uint64(entries + 1); i <= 16*entries; i++ {
		m[i] = wide{i}
	}
	settled(m)
}

// held is a map that its owner keeps, with the goroutine that loop makes.
func held[V any](g *gate, m map[uint64]V, loop func(m map[uint64]V), after func(m map[uint64]V)) uintptr {
	start(g, func() { loop(m) })
	after(m)
	keep = append(keep, m)
	return probe.Word(&m)
}

// start makes the goroutine and waits until it stands in its loop.
func start(g *gate, loop func()) {
	go func() {
		loop()
		close(g.done)
	}()
	<-g.ready
}

//go:noinline
func rangeNumbers(m map[uint64]wide, g *gate) {
	for range m {
		g.wait()
	}
}

//go:noinline
func rangePayloads(m map[uint64]*payload, g *gate) {
	for range m {
		g.wait()
	}
}

// dropped makes the map and the goroutine over it, and forgets the map.
//
//go:noinline
func dropped(g *gate) uintptr {
	m := payloads()
	address := probe.Word(&m)
	go rangesAlone(m, g)
	<-g.ready
	return address
}

//go:noinline
func rangesAlone(m map[uint64]*payload, g *gate) {
	rangePayloads(m, g)
	close(g.done)
}

// emptied lets the map grow eightfold and then deletes all of it.
func emptied(m map[uint64]*payload) {
	for i := uint64(entries); i <= 8*entries; i++ {
		m[i] = nil
	}
	settled(m)
	for i := uint64(1); i <= 8*entries; i++ {
		delete(m, i)
	}
}

func crowd(g *gate, m map[uint64]*payload) {
	all := new(sync.WaitGroup)
	for i := 0; i < 5; i++ {
		one := &gate{ready: make(chan struct{}), pass: g.pass}
		all.Add(1)
		go crowded(m, one, all)
		<-one.ready
	}
	go func() {
		all.Wait()
		close(g.done)
	}()
}

//go:noinline
func crowded(m map[uint64]*payload, g *gate, all *sync.WaitGroup) {
	rangePayloads(m, g)
	all.Done()
}

//go:noinline
func crowdAlone(g *gate) uintptr {
	m := payloads()
	address := probe.Word(&m)
	crowd(g, m)
	return address
}

func modes() map[string]state {
	// changed: the goroutine blocks in its first turn in some way, then the map grows
	changed := func(block func(g *gate)) state {
		return func(g *gate) uintptr {
			return held(g, numbers(), func(m map[uint64]wide) {
				for range m {
					block(g)
				}
			}, grown)
		}
	}
	return map[string]state{
		"receive": func(g *gate) uintptr {
			return held(g, numbers(), func(m map[uint64]wide) { rangeNumbers(m, g) }, grown)
		},
		"mutex": changed(func(g *gate) {
			if g.begun {
				return
			}
			g.begun, g.id = true, goid()
			var lock sync.Mutex
			lock.Lock()
			go func() { <-g.pass; lock.Unlock() }()
			close(g.ready)
			lock.Lock()
		}),
		"sleep": changed(func(g *gate) {
			if g.begun {
				return
			}
			g.begun, g.id = true, goid()
			close(g.ready)
			for {
				time.Sleep(time.Millisecond * 50)
				select {
				case <-g.pass:
					return
				default:
				}
			}
		}),
		"select": changed(func(g *gate) {
			if g.begun {
				return
			}
			g.begun, g.id = true, goid()
			close(g.ready)
			select {
			case <-g.pass:
			case <-time.After(time.Hour):
			}
		}),
		"group": changed(func(g *gate) {
			if g.begun {
				return
			}
			g.begun, g.id = true, goid()
			var group sync.WaitGroup
			group.Add(1)
			go func() { <-g.pass; group.Done() }()
			close(g.ready)
			group.Wait()
		}),
		// emptied: the values of a map that has grown and lost all its entries since
		"emptied": func(g *gate) uintptr {
			return held(g, payloads(), func(m map[uint64]*payload) { rangePayloads(m, g) }, emptied)
		},
		"dropped": dropped,
		// a reflect.MapIter on the heap, whose map is gone: exhausted, or in the middle
		"reflect":        func(g *gate) uintptr { return reflected(g, true) },
		"reflect-middle": func(g *gate) uintptr { return reflected(g, false) },
		"pull":           pulled,
		// five goroutines blocked in loops over one map: none of them keeps anything alone
		"crowd": func(g *gate) uintptr {
			m := payloads()
			crowd(g, m)
			emptied(m)
			keep = append(keep, m)
			return probe.Word(&m)
		},
		"crowd-dropped": crowdAlone,

		// one goroutine is blocked in its loop, and two that have left theirs still have its words in their frames. The
		// map is so small that a Swiss one has a single table: all three are over the same.
		"bystanders": func(g *gate) uintptr {
			m := numbersTo(800)
			for _, leaves := range []func(map[uint64]wide, *gate){leavesAtEnd, leavesByBreak} {
				one := &gate{ready: make(chan struct{}), pass: g.pass}
				go leaves(m, one)
				<-one.ready
			}
			return held(g, m, func(m map[uint64]wide) { rangeNumbers(m, g) }, enlarged)
		},

		// controls
		"ended": func(g *gate) uintptr {
			return held(g, numbers(), func(m map[uint64]wide) {
				n := uint64(0)
				for k := range m {
					n += k
				}
				g.wait()
			}, grown)
		},
		"broken": func(g *gate) uintptr {
			return held(g, numbers(), func(m map[uint64]wide) {
				for k := range m {
					if k > 5 {
						break
					}
				}
				g.wait()
			}, grown)
		},
		"unchanged": func(g *gate) uintptr {
			return held(g, numbers(), func(m map[uint64]wide) { rangeNumbers(m, g) }, func(map[uint64]wide) {})
		},
		"running": func(g *gate) uintptr {
			return held(g, numbers(), func(m map[uint64]wide) { runs(m, g) }, func(map[uint64]wide) {})
		},
		// a loop that has let its map grow, and goes on with its work
		"running-grown": func(g *gate) uintptr {
			m := numbers()
			go loopsIn(&box[wide]{m}, g, func(g *gate) {
				if g.first() {
					enlarged(m)
					g.busy = true
					close(g.ready)
					works(g)
				}
			})
			<-g.ready
			keep = append(keep, m)
			return probe.Word(&m)
		},
		// a loop that has ended, in a goroutine that is stopped at any instruction
		"spinning": func(g *gate) uintptr {
			return held(g, numbers(), func(m map[uint64]wide) { spin(m, g) }, grown)
		},
	}
}

//go:noinline
func leavesAtEnd(m map[uint64]wide, g *gate) {
	n := uint64(0)
	for k := range m {
		n += k
	}
	g.wait()
}

//go:noinline
func leavesByBreak(m map[uint64]wide, g *gate) {
	for k := range m {
		if k > 5 {
			break
		}
	}
	g.wait()
}

// runs goes on in its loop, over a map that nobody else changes.
//
//go:noinline
func runs(m map[uint64]wide, g *gate) {
	for {
		for k := range m {
			for i := uint64(0); i < 1000; i++ {
				atomic.AddInt64(&spins, int64(k&1))
			}
			if !g.begun {
				g.begun, g.busy, g.id = true, true, goid()
				close(g.ready)
			}
			if g.asked() {
				g.stand()
				return
			}
			select {
			case <-g.pass:
				return
			default:
			}
		}
	}
}

//go:noinline
func spin(m map[uint64]wide, g *gate) {
	for range m {
		spins++
	}
	g.begun, g.id = true, goid()
	close(g.ready)
	for atomic.LoadInt32(&g.stop) == 0 { // no call, so no stack map, wherever it is stopped
		atomic.AddInt64(&spins, 1)
	}
}

// works is busy until the gate opens.
//
//go:noinline
func works(g *gate) {
	for atomic.LoadInt32(&g.stop) == 0 {
		atomic.AddInt64(&spins, 1)
		if g.asked() {
			g.stand()
			return
		}
	}
}

type lost struct{ iter *reflect.MapIter }

func reflected(g *gate, toTheEnd bool) uintptr {
	l := new(lost)
	address := reflectedOver(l, toTheEnd)
	keep = append(keep, l)
	go func() {
		g.wait()
		l.iter = nil
		close(g.done)
	}()
	<-g.ready
	return address
}

//go:noinline
func reflectedOver(l *lost, toTheEnd bool) uintptr {
	m := payloads()
	l.iter = reflect.ValueOf(m).MapRange()
	for l.iter.Next() && toTheEnd {
	}
	return probe.Word(&m)
}
