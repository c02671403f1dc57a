//go:build go1.24 && (go1.26 || goexperiment.swissmap)

package probe

// The Swiss map: Map, table and group in internal/runtime/maps.

const generation = "swiss"

// Classic says which implementation of the map this program has.
const Classic = false

var (
	headerNames = []string{
		"used", "seed", "dirPtr", "dirLen", "globalDepth", "globalShift", "writing", "tombstonePossible", "clearSeq",
	}
	sumNames   = []string{"tables", "groups", "tombstones", "entries", "capacity", "growthLeft"}
	tableNames = []string{"address", "used", "capacity", "growthLeft", "localDepth", "index", "tombstones"}
	tables     [][7]uint64
)

func growing(uintptr) bool { return false }

func (e *Entry) read() {
	m := e.addr
	e.sizes(u64(e.mt + 0x50))
	e.header = [12]uint64{
		u64(m), u64(m + 8), u64(m + 0x10), u64(m + 0x18), u8(m + 0x20), u8(m + 0x21), u8(m + 0x22), u8(m + 0x23), u64(m + 0x28),
	}
	e.sums = [10]uint64{}
	dir, n := ptr(m+0x10), u64(m+0x18)
	if n == 0 {
		if dir != 0 {
			e.sums[1], e.sums[4] = 1, 8
			e.group(dir)
		}
	} else {
		known := e.ntable // read before: the tables are known, only the entries are counted again
		if known == 0 {
			e.first = len(tables)
		}
		seen := 0
		var last uintptr
		for i := uintptr(0); i < uintptr(n); i++ {
			t := ptr(dir + 8*i)
			if t == last { // the entries of one table lie side by side
				continue
			}
			last = t
			before := e.sums[2]
			data, groups := ptr(t+0x10), u64(t+0x18)+1
			for g := uintptr(0); g < uintptr(groups); g++ {
				e.group(data + g*uintptr(e.array))
			}
			e.sums[0]++
			e.sums[1] += groups
			e.sums[4] += u16(t + 2)
			e.sums[5] += u16(t + 4)
			if known == 0 {
				tables = append(tables, [7]uint64{})
				e.ntable++
			}
			tables[e.first+seen] = [7]uint64{
				uint64(t), u16(t), u16(t + 2), u16(t + 4), u8(t + 6), u64(t + 8), e.sums[2] - before,
			}
			seen++
		}
	}
	if e.sums[3] != u64(m) {
		panic(e.Name + ": the entries counted are not used of the header")
	}
}

// group counts full and deleted slots by the control word.
func (e *Entry) group(g uintptr) {
	for i := uintptr(0); i < 8; i++ {
		switch c := u8(g + i); {
		case c < 0x80:
			e.sums[3]++
		case c == 0xfe:
			e.sums[2]++
		}
	}
}

// Buckets, Overflow, EachKey, StaleElems and Hanging are about classic maps alone.
func Buckets[M any](M) int { return 0 }

// Overflow see Buckets.
func Overflow[M any](M) int { return 0 }

// EachKey see Buckets.
func EachKey(map[uint64]uint64, func(int, uint64)) {}

// StaleElems see Buckets.
func StaleElems[V any](map[uint64]*V) uint64 { return 0 }

// Hanging see Buckets.
func Hanging[V any](map[uint64]*V) uint64 { panic("no classic map") }
