//go:build !go1.23

package main

import "os"

func pulled(*gate) uintptr {
	os.Stderr.WriteString("no iter.Pull in this release\n")
	os.Exit(3)
	return 0
}

func pulls(*gate) func(*box[wide], *box[*payload]) { return nil }
