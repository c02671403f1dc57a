//go:build go1.20

package main

const wide = false
