//go:build go1.24 && !go1.26 && !goexperiment.swissmap

package probe

// hmap has clearSeq before extra here.
const extraOffset = 0x30
