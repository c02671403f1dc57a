//go:build go1.26 || (go1.24 && goexperiment.swissmap)

package main

const classic = false
