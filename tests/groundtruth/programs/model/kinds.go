package main

import (
	"reflect"
	"strconv"
	"unsafe"
)

type (
	cell struct{ n, pad uint64 }
	wide [136]byte // larger than 128 bytes: the map holds a pointer to it
)

func kinds() map[string]kind {
	return map[string]kind{
		"plain": &plain{}, "text": &words{}, "shared": &shared{},
		"wideelem": &wideElem{}, "widekey": &wideKey{}, "pair": &pairs{},
	}
}

func widen(n uint64) (w wide) {
	*(*uint64)(unsafe.Pointer(&w)) = n
	return w
}

func narrow(w *wide) uint64 { return *(*uint64)(unsafe.Pointer(w)) }

// through is the number that a pointer in a slot leads to.
func through(slot uintptr) uint64 {
	if p := ptr(slot); p != 0 {
		return u64(p)
	}
	return 0
}

// plain holds no pointers; its buckets are not scanned.
type plain struct{ m map[uint64]uint64 }

func (p *plain) make(hint int) {
	if hint < 0 {
		p.m = make(map[uint64]uint64)
	} else {
		p.m = make(map[uint64]uint64, hint)
	}
}
func (p *plain) put(k, v uint64) { p.m[k] = v }
func (p *plain) drop(k uint64)   { delete(p.m, k) }
func (p *plain) get(k uint64) (uint64, bool) {
	v, ok := p.m[k]
	return v, ok
}
func (p *plain) value() reflect.Value          { return reflect.ValueOf(p.m) }
func (p *plain) word() uintptr                 { return ptr(uintptr(unsafe.Pointer(&p.m))) }
func (p *plain) point(k uint64) unsafe.Pointer { return unsafe.Pointer(&k) }
func (p *plain) key(slot uintptr) uint64       { return u64(slot) }
func (p *plain) elem(slot uintptr) uint64      { return u64(slot) }
func (p *plain) keyOf(v reflect.Value) uint64  { return v.Uint() }
func (p *plain) elemOf(v reflect.Value) uint64 { return v.Uint() }

// words has pointers in keys and elems.
type words struct{ m map[string]*cell }

func spell(k uint64) string { return "k" + strconv.FormatUint(k, 10) }

func unspell(s string) uint64 {
	n, _ := strconv.ParseUint(s[1:], 10, 64)
	return n
}

func (w *words) make(hint int) {
	if hint < 0 {
		w.m = make(map[string]*cell)
	} else {
		w.m = make(map[string]*cell, hint)
	}
}
func (w *words) put(k, v uint64) { w.m[spell(k)] = &cell{n: v} }
func (w *words) drop(k uint64)   { delete(w.m, spell(k)) }
func (w *words) get(k uint64) (uint64, bool) {
	v, ok := w.m[spell(k)]
	if v == nil {
		return 0, ok
	}
	return v.n, ok
}
func (w *words) value() reflect.Value { return reflect.ValueOf(w.m) }
func (w *words) word() uintptr        { return ptr(uintptr(unsafe.Pointer(&w.m))) }
func (w *words) point(k uint64) unsafe.Pointer {
	s := spell(k)
	return unsafe.Pointer(&s)
}
func (w *words) key(slot uintptr) uint64 {
	if ptr(slot) == 0 {
		return 0
	}
	return unspell(*(*string)(at(slot)))
}
func (w *words) elem(slot uintptr) uint64      { return through(slot) }
func (w *words) keyOf(v reflect.Value) uint64  { return unspell(v.String()) }
func (w *words) elemOf(v reflect.Value) uint64 { return u64(v.Pointer()) }

// shared has elems that point into data, so that an entry takes no memory outside of the map.
type shared struct{ m map[uint64]*cell }

var cells [1 << 16]cell

func (s *shared) make(hint int) {
	if hint < 0 {
		s.m = make(map[uint64]*cell)
	} else {
		s.m = make(map[uint64]*cell, hint)
	}
}
func (s *shared) put(k, v uint64) {
	v %= uint64(len(cells))
	cells[v].n = v
	s.m[k] = &cells[v]
}
func (s *shared) drop(k uint64) { delete(s.m, k) }
func (s *shared) get(k uint64) (uint64, bool) {
	v, ok := s.m[k]
	if v == nil {
		return 0, ok
	}
	return v.n, ok
}
func (s *shared) value() reflect.Value          { return reflect.ValueOf(s.m) }
func (s *shared) word() uintptr                 { return ptr(uintptr(unsafe.Pointer(&s.m))) }
func (s *shared) point(k uint64) unsafe.Pointer { return unsafe.Pointer(&k) }
func (s *shared) key(slot uintptr) uint64       { return u64(slot) }
func (s *shared) elem(slot uintptr) uint64      { return through(slot) }
func (s *shared) keyOf(v reflect.Value) uint64  { return v.Uint() }
func (s *shared) elemOf(v reflect.Value) uint64 { return u64(v.Pointer()) }

// wideElem holds its elems by pointer.
type wideElem struct{ m map[uint64]wide }

func (w *wideElem) make(hint int) {
	if hint < 0 {
		w.m = make(map[uint64]wide)
	} else {
		w.m = make(map[uint64]wide, hint)
	}
}
func (w *wideElem) put(k, v uint64) { w.m[k] = widen(v) }
func (w *wideElem) drop(k uint64)   { delete(w.m, k) }
func (w *wideElem) get(k uint64) (uint64, bool) {
	v, ok := w.m[k]
	return narrow(&v), ok
}
func (w *wideElem) value() reflect.Value          { return reflect.ValueOf(w.m) }
func (w *wideElem) word() uintptr                 { return ptr(uintptr(unsafe.Pointer(&w.m))) }
func (w *wideElem) point(k uint64) unsafe.Pointer { return unsafe.Pointer(&k) }
func (w *wideElem) key(slot uintptr) uint64       { return u64(slot) }
func (w *wideElem) elem(slot uintptr) uint64      { return through(slot) }
func (w *wideElem) keyOf(v reflect.Value) uint64  { return v.Uint() }
func (w *wideElem) elemOf(v reflect.Value) uint64 {
	e := v.Interface().(wide)
	return narrow(&e)
}

// pairs has keys for which the compiler knows no fast function.
type pairs struct{ m map[pair]uint64 }

type pair struct{ n, pad uint64 }

func (p *pairs) make(hint int) {
	if hint < 0 {
		p.m = make(map[pair]uint64)
	} else {
		p.m = make(map[pair]uint64, hint)
	}
}
func (p *pairs) put(k, v uint64) { p.m[pair{n: k}] = v }
func (p *pairs) drop(k uint64)   { delete(p.m, pair{n: k}) }
func (p *pairs) get(k uint64) (uint64, bool) {
	v, ok := p.m[pair{n: k}]
	return v, ok
}
func (p *pairs) value() reflect.Value          { return reflect.ValueOf(p.m) }
func (p *pairs) word() uintptr                 { return ptr(uintptr(unsafe.Pointer(&p.m))) }
func (p *pairs) point(k uint64) unsafe.Pointer { return unsafe.Pointer(&pair{n: k}) }
func (p *pairs) key(slot uintptr) uint64       { return u64(slot) }
func (p *pairs) elem(slot uintptr) uint64      { return u64(slot) }
func (p *pairs) keyOf(v reflect.Value) uint64  { return v.Field(0).Uint() }
func (p *pairs) elemOf(v reflect.Value) uint64 { return v.Uint() }

// wideKey holds its keys by pointer.
type wideKey struct{ m map[wide]uint64 }

func (w *wideKey) make(hint int) {
	if hint < 0 {
		w.m = make(map[wide]uint64)
	} else {
		w.m = make(map[wide]uint64, hint)
	}
}
func (w *wideKey) put(k, v uint64) { w.m[widen(k)] = v }
func (w *wideKey) drop(k uint64)   { delete(w.m, widen(k)) }
func (w *wideKey) get(k uint64) (uint64, bool) {
	v, ok := w.m[widen(k)]
	return v, ok
}
func (w *wideKey) value() reflect.Value { return reflect.ValueOf(w.m) }
func (w *wideKey) word() uintptr        { return ptr(uintptr(unsafe.Pointer(&w.m))) }
func (w *wideKey) point(k uint64) unsafe.Pointer {
	key := widen(k)
	return unsafe.Pointer(&key)
}
func (w *wideKey) key(slot uintptr) uint64  { return through(slot) }
func (w *wideKey) elem(slot uintptr) uint64 { return u64(slot) }
func (w *wideKey) keyOf(v reflect.Value) uint64 {
	key := v.Interface().(wide)
	return narrow(&key)
}
func (w *wideKey) elemOf(v reflect.Value) uint64 { return v.Uint() }
