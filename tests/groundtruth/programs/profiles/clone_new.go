//go:build go1.21

package main

import "maps"

func clone(m map[int]int) map[int]int { return maps.Clone(m) }
