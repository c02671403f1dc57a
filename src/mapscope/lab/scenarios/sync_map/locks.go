package main

import (
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"
)

// lockOf is the mutex of a sync.Map that its writers take: mu up to Go 1.23, then that of the root of its trie.
func lockOf(m *sync.Map) *sync.Mutex {
	v := reflect.ValueOf(m).Elem()
	if old := v.FieldByName("mu"); old.IsValid() {
		return (*sync.Mutex)(unsafe.Pointer(old.UnsafeAddr()))
	}
	root := v.FieldByName("m").FieldByName("root") // an atomic.Pointer: a field of type [0]*T tells what it leads to
	node := reflect.NewAt(root.Field(0).Type().Elem().Elem(), unsafe.Pointer(root.FieldByName("v").Pointer())).Elem()
	return (*sync.Mutex)(unsafe.Pointer(node.FieldByName("mu").UnsafeAddr()))
}

// waits says whether a goroutine of that function waits for a mutex.
func waits(function string) bool {
	text := make([]byte, 1<<20)
	for _, one := range strings.Split(string(text[:runtime.Stack(text, true)]), "\n\n") {
		head := strings.SplitN(one, "\n", 2)[0]
		if strings.Contains(one, function) && (strings.Contains(head, "semacquire") || strings.Contains(head, "sync.Mutex.Lock")) {
			return true
		}
	}
	return false
}

//go:noinline
func loadInBackground(m *sync.Map, key int, done *uint32) {
	m.Load(key)
	atomic.StoreUint32(done, 1)
}

// locks loads while a writer has the lock: a key that is found at once, and one that is not there while newer keys are.
func locks() {
	var m sync.Map
	for i := 0; i < 100; i++ {
		m.Store(i, i)
	}
	m.Range(func(k, v any) bool { return true }) // promotes it
	m.Store(100, 100)                            // dirty has what read has not
	for _, try := range []struct {
		name string
		key  int
	}{{"hit", 50}, {"miss", -1}} {
		lock := lockOf(&m)
		lock.Lock()
		done := new(uint32)
		go loadInBackground(&m, try.key, done)
		for atomic.LoadUint32(done) == 0 && !waits("main.loadInBackground") {
			runtime.Gosched()
		}
		sayFlag("load_"+try.name+"_waits_for_the_lock", atomic.LoadUint32(done) == 0)
		lock.Unlock()
		for atomic.LoadUint32(done) == 0 {
			runtime.Gosched()
		}
	}
}

// ranges loops again and again while another goroutine stores new keys, so that dirty grows, until it has been seen to grow.
func ranges() {
	const there, enough, most = 1_000, 20, 2_000_000
	var m sync.Map
	for i := 0; i < there; i++ {
		m.Store(i, i)
	}
	var stop uint32
	stopped := make(chan bool)
	go func() {
		for i := there; i < most && atomic.LoadUint32(&stop) == 0; i++ {
			m.Store(i, i)
		}
		close(stopped)
	}()
	loops, skipped, grew := uint64(0), uint64(0), uint64(0)
	for last := 0; grew < enough && last < most; loops++ {
		seen, all := 0, 0
		m.Range(func(k, v any) bool {
			all++
			if k.(int) < there {
				seen++
			}
			return true
		})
		skipped += uint64(there - seen)
		if last > 0 && all > last {
			grew++
		}
		last = all
	}
	atomic.StoreUint32(&stop, 1)
	<-stopped
	say("ranges", loops)
	say("ranges_that_saw_it_grow", grew)
	say("skipped", skipped)
}
