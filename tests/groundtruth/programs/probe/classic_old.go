//go:build !go1.24

package probe

const extraOffset = 0x28
