//go:build go1.21

package main

func (p *plain) wipe()    { clear(p.m) }
func (w *words) wipe()    { clear(w.m) }
func (s *shared) wipe()   { clear(s.m) }
func (w *wideElem) wipe() { clear(w.m) }
func (w *wideKey) wipe()  { clear(w.m) }
func (p *pairs) wipe()    { clear(p.m) }
