// Command syncmaps brings a sync.Map into one state, says what it is, and waits. When its input ends, it mends the state
// and prints how much HeapAlloc fell.
package main

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"truth/probe"
)

const entries = 5_000

var (
	global sync.Map
	held   *owner
	keep   []any
	facts  = map[string]uint64{}
	spins  int64
	stop   int32
)

// owner has a sync.Map in its middle.
type owner struct {
	name string
	maps [3]sync.Map
	more []int
}

type payload struct{ words [16]uint64 }

func live() uint64 {
	var figures runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&figures)
	return figures.HeapAlloc
}

// settledLive is live when it says the same twice.
func settledLive() uint64 {
	last := live()
	for i := 0; i < 20; i++ {
		again := live()
		if again == last {
			break
		}
		last = again
	}
	return last
}

// name is a key of its own bytes, long enough to outweigh its slot.
func name(i int) string {
	text := make([]byte, 0, 200)
	for len(text) < 180 {
		text = strconv.AppendInt(append(text, "key-"...), int64(i), 10)
	}
	return string(text)
}

// fill stores entries and puts dirty in the place of the read map.
func fill(m *sync.Map, n int) {
	for i := 0; i < n; i++ {
		m.Store(name(i), &payload{})
	}
	promote(m)
}

// promote ranges, which puts dirty in the place of the read map at once (sync/map.go: Range).
func promote(m *sync.Map) { m.Range(func(_, _ any) bool { return false }) }

func deleteSome(m *sync.Map, n int) {
	for i := 0; i < n; i++ {
		m.Delete(name(i))
	}
}

// deleted: most entries are gone, and the read map still has them.
func deleted() func() {
	fill(&global, entries)
	deleteSome(&global, 4_000)
	note(&global)
	return func() { wipe(&global) }
}

// expunged: as deleted, then a new key has made a dirty map that leaves them out.
func expunged() func() {
	held = new(owner)
	m := &held.maps[1]
	fill(m, entries)
	deleteSome(m, 4_000)
	m.Store("one more", 1)
	note(m)
	return func() { wipe(m) }
}

// both: deleted entries of which some were deleted before the dirty map was made and some after, so that it has them too.
func both() func() {
	held = new(owner)
	m := &held.maps[2]
	fill(m, entries)
	deleteSome(m, 2_000)
	m.Store("one more", 1)
	deleteSome(m, 4_000)
	note(m)
	return func() { wipe(m) }
}

// frozen: the read map was promoted in mid growth.
func frozen() func() {
	i := 0
	for ; i < 10_000 || !growing(&global); i++ {
		global.Store(i, i)
	}
	promote(&global)
	note(&global)
	return func() { // a new key copies all of it, and the next Range drops the old map
		global.Store(i, i)
		promote(&global)
	}
}

// frozenDead: the read map was promoted in mid growth, and then most of its entries were deleted.
func frozenDead() func() {
	i := 0
	for ; i < entries || !growing(&global); i++ {
		global.Store(name(i), &payload{})
	}
	promote(&global)
	deleteSome(&global, i-i/8)
	note(&global)
	return func() { wipe(&global) }
}

// amended: the same as frozen, but a new key has come since, so that the read map is on its way out.
func amended() func() {
	i := 0
	for ; i < 10_000 || !growing(&global); i++ {
		global.Store(i, i)
	}
	promote(&global)
	global.Store(i, i)
	return func() {}
}

// fresh has no deletions.
func fresh() func() {
	fill(&global, entries)
	return func() {}
}

// few has some deleted entries among many, and a dirty map.
func few() func() {
	fill(&global, entries)
	deleteSome(&global, entries/4)
	global.Store("one more", 1)
	return func() {}
}

// churn holds 1,000 entries and stores and deletes in turn. It ends shortly before dirty is promoted, when the deleted
// entries are most: each promotion comes 3,000 turns after the last.
func churn() func() {
	for i := 0; i < 4*entries-100; i++ {
		global.Store(name(i), &payload{})
		if i >= 1_000 {
			global.Delete(name(i - 1_000))
		}
	}
	note(&global)
	return func() {}
}

// ranged: a Range blocks in its first turn; what happens to the sync.Map meanwhile is the caller's.
func ranged(m *sync.Map, meanwhile func(m *sync.Map)) func() {
	fill(m, entries)
	ready, pass, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		first := true
		m.Range(func(_, _ any) bool {
			if first {
				first = false
				close(ready)
				<-pass
			}
			return true
		})
		close(done)
	}()
	<-ready
	note(m)
	meanwhile(m)
	keep = append(keep, ready, pass, done)
	return func() {
		close(pass)
		<-done
		for i := 0; i < 100; i++ { // its goroutine has its last instructions before it
			runtime.Gosched()
		}
	}
}

// replaced deletes all that was there, stores as many others, and promotes.
func replaced(m *sync.Map) {
	deleteSome(m, entries)
	for i := 0; i < entries; i++ {
		m.Store(i, i)
	}
	promote(m)
}

// running ranges again and again.
func running() func() {
	fill(&global, entries)
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		begun := false
		for atomic.LoadInt32(&stop) == 0 {
			global.Range(func(_, _ any) bool {
				if !begun {
					begun = true
					close(ready)
				}
				atomic.AddInt64(&spins, 1)
				return true
			})
		}
		close(done)
	}()
	<-ready
	return func() {
		atomic.StoreInt32(&stop, 1)
		<-done
	}
}

var modes = map[string]func() func(){
	"deleted":     deleted,
	"expunged":    expunged,
	"both":        both,
	"frozen":      frozen,
	"frozen-dead": frozenDead,
	"range":       func() func() { return ranged(&global, replaced) },
	"fresh":       fresh,
	"few":         few,
	"amended":     amended,
	"churn":       churn,
	"current":     func() func() { return ranged(&global, func(m *sync.Map) { deleteSome(m, entries/4) }) },
	"running":     running,
}

// threads starts more of them than are ever needed: the runtime allocates the record of a thread on the heap, at any time.
func threads() {
	var begun, ended sync.WaitGroup
	release := make(chan struct{})
	begun.Add(16)
	ended.Add(16)
	for i := 0; i < 16; i++ {
		go func() {
			runtime.LockOSThread()
			begun.Done()
			<-release
			runtime.UnlockOSThread()
			ended.Done()
		}()
	}
	begun.Wait()
	close(release)
	ended.Wait()
}

func main() {
	if len(os.Args) < 2 || modes[os.Args[1]] == nil {
		os.Stderr.WriteString("no such mode\n")
		os.Exit(2)
	}
	threads()
	mend := modes[os.Args[1]]()
	probe.Settle()
	probe.Report(func() {
		probe.Text("mode", os.Args[1])
		for _, fact := range []string{"sync_map", "read", "dirty", "entries", "in_read", "dead", "expunged", "slots"} {
			probe.Number(fact, facts[fact])
		}
	})
	before := settledLive()
	mend()
	after := settledLive()
	runtime.KeepAlive(keep)
	os.Stdout.WriteString(strconv.FormatInt(int64(before)-int64(after), 10) + "\n")
}
