//go:build !go1.21

package main

// The compiler makes one call of mapclear of such a loop.

func (p *plain) wipe() {
	m := p.m
	for k := range m {
		delete(m, k)
	}
}

func (w *words) wipe() {
	m := w.m
	for k := range m {
		delete(m, k)
	}
}

func (s *shared) wipe() {
	m := s.m
	for k := range m {
		delete(m, k)
	}
}

func (w *wideElem) wipe() {
	m := w.m
	for k := range m {
		delete(m, k)
	}
}

func (p *pairs) wipe() {
	m := p.m
	for k := range m {
		delete(m, k)
	}
}

func (w *wideKey) wipe() {
	m := w.m
	for k := range m {
		delete(m, k)
	}
}
