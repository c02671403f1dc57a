//go:build !arm64

package probe

// dieAsChild is for programs that run under emulation.
func dieAsChild() {}
