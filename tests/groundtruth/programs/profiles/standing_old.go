//go:build !go1.23

package main

const syncMapIsLoop = true

func standMore() {}
