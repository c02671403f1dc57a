//go:build !go1.24 || (!go1.26 && !goexperiment.swissmap)

package probe

// The classic map: hmap and bmap in runtime/map.go (runtime/map_noswiss.go in 1.24 and 1.25).

const generation = "classic"

// Classic says which implementation of the map this program has.
const Classic = true

var (
	headerNames = []string{"count", "flags", "B", "noverflow", "hash0", "buckets", "oldbuckets", "nevacuate", "extra"}
	sumNames    = []string{
		"noldbuckets", "overflow_count", "old_evacuated", "old_overflow_count", "entries", "stale_old",
		"overflow_apart", "old_overflow_apart", // not in the array itself
		"list", "old_list", // 1 and the capacity of mapextra.overflow and oldoverflow; 0 for nil
	}
	tableNames []string
	tables     [][7]uint64
)

func growing(h uintptr) bool { return ptr(h+0x18) != 0 }

// room is 1 and the capacity of the slice whose header the word at a points to; a range makes the header alone.
func room(a uintptr) uint64 {
	if header := ptr(a); header != 0 {
		return 1 + u64(header+16)
	}
	return 0
}

func (e *Entry) read() {
	h := e.addr
	e.sizes(u16(e.mt + 0x52))
	e.header = [12]uint64{
		u64(h), u8(h + 8), u8(h + 9), u16(h + 0xa), u32(h + 0xc), u64(h + 0x10), u64(h + 0x18), u64(h + 0x20), u64(h + extraOffset),
	}
	e.sums = [10]uint64{}
	if extra := ptr(h + extraOffset); extra != 0 {
		e.sums[8], e.sums[9] = room(extra), room(extra+8)
	}
	size := uintptr(e.array)
	current, old := ptr(h+0x10), ptr(h+0x18)
	if current != 0 {
		if e.end[0] == 0 {
			e.end[0] = e.arrayBytes(u8(h + 9))
		}
		for i := uintptr(0); i < 1<<u8(h+9); i++ {
			e.sums[1] += e.chain(current + i*size)
			e.sums[6] += e.apart(current+i*size, current, current+e.end[0])
		}
	}
	if old != 0 {
		n := uintptr(1) << u8(h+9)
		if u8(h+8)&8 == 0 { // not sameSizeGrow
			n >>= 1
		}
		e.sums[0] = uint64(n)
		if e.end[1] == 0 {
			b := u8(h + 9)
			if n < 1<<b {
				b--
			}
			e.end[1] = e.arrayBytes(b)
		}
		for i := uintptr(0); i < n; i++ {
			b := old + i*size
			if top := u8(b); top >= 2 && top <= 4 {
				e.sums[2]++
				if top < 4 {
					e.sums[5]++
				}
			} else {
				e.sums[3] += e.chain(b)
			}
		}
		// evacuated chains too: what still hangs there is held, and what hangs on overflow buckets in the array
		for b := old; b+size <= old+e.end[1]; b += size {
			for o := e.next(b); o != 0 && (o < old || o >= old+e.end[1]); o = e.next(o) {
				e.sums[7]++
			}
		}
	}
	if e.sums[4] != u64(h) {
		panic(e.Name + ": the entries counted are not the count of the header")
	}
}

// chain counts the live entries of a bucket and of its overflow buckets, and returns how many those are.
func (e *Entry) chain(b uintptr) (more uint64) {
	for {
		for i := uintptr(0); i < 8; i++ {
			if u8(b+i) >= 5 {
				e.sums[4]++
			}
		}
		b = e.next(b)
		if b == 0 {
			return more
		}
		more++
	}
}

// apart counts the overflow buckets of b that do not lie in the array from start to end.
func (e *Entry) apart(b, start, end uintptr) (count uint64) {
	for b = e.next(b); b != 0; b = e.next(b) {
		if b < start || b >= end {
			count++
		}
	}
	return count
}

func (e *Entry) next(b uintptr) uintptr { return ptr(b + uintptr(e.array) - 8) }

// arrayBytes is what makeBucketArray asks for and gets for 2^b buckets; append asks the allocator the same question.
func (e *Entry) arrayBytes(b uint64) uintptr {
	n := uintptr(1) << b
	if b < 4 {
		return n * uintptr(e.array)
	}
	words := (n + n/16) * uintptr(e.array) / 8
	if e.ptrs == 0 {
		return uintptr(cap(append([]uint64(nil), make([]uint64, words)...))) * 8
	}
	return uintptr(cap(append([]*int(nil), make([]*int, words)...))) * 8
}

// Buckets is the number of buckets of a map.
func Buckets[M any](m M) int { return 1 << u8(Word(&m)+9) }

// Overflow is the runtime's own count of overflow buckets.
func Overflow[M any](m M) int { return int(u16(Word(&m) + 0xa)) }

// EachKey calls f with the bucket and the key of every entry of a map that is not growing.
func EachKey(m map[uint64]uint64, f func(bucket int, key uint64)) {
	const size = 8 + 8*8 + 8*8 + 8
	start := ptr(Word(&m) + 0x10)
	for i := 0; i < Buckets(m); i++ {
		for b := start + uintptr(i)*size; b != 0; b = ptr(b + size - 8) {
			for j := uintptr(0); j < 8; j++ {
				if u8(b+j) >= 5 {
					f(i, u64(b+8+8*j))
				}
			}
		}
	}
}

// StaleElems counts the elems that only evacuated old buckets of a growing map still point to. Keys and elems are a word.
func StaleElems[V any](m map[uint64]*V) (count uint64) {
	const size = 8 + 8*8 + 8*8 + 8
	h := Word(&m)
	old, n := ptr(h+0x18), uintptr(1)<<u8(h+9)
	if u8(h+8)&8 == 0 {
		n >>= 1
	}
	for i := uintptr(0); i < n; i++ {
		b := old + i*size
		if top := u8(b); top < 2 || top > 4 {
			continue
		}
		for ; b != 0; b = ptr(b + size - 8) {
			for j := uintptr(0); j < 8; j++ {
				elem := u64(b + 72 + 8*j)
				if elem == 0 {
					continue
				}
				if now := m[u64(b+8+8*j)]; Word(&now) != uintptr(elem) {
					count++
				}
			}
		}
	}
	return count
}

// Hanging counts the overflow buckets outside the old array that are reached only from those that were made with it, as
// their chains were unlinked at the first bucket. Keys and elems are a word, and B is 5 or more.
func Hanging[V any](m map[uint64]*V) uint64 {
	const size = 8 + 8*8 + 8*8 + 8
	h := Word(&m)
	old, n := ptr(h+0x18), uintptr(1)<<(u8(h+9)-1)
	end := old + (n+n/16)*size
	reached := map[uintptr]bool{}
	for i := uintptr(0); i < n; i++ {
		for b := ptr(old + (i+1)*size - 8); b != 0; b = ptr(b + size - 8) {
			reached[b] = true
		}
	}
	more := uint64(0)
	for i := n; i < n+n/16; i++ {
		for b := ptr(old + (i+1)*size - 8); b != 0 && (b < old || b >= end) && !reached[b]; b = ptr(b + size - 8) {
			more++
		}
	}
	return more
}
