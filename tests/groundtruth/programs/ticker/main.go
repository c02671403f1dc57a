// Command ticker works without a rest, checks its own arithmetic, and says on demand how far it is: what a process that
// is captured must go on doing. Its maps are the truth for `mapscope analyze --pid`.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

type told struct {
	Address uintptr `json:"address"`
	Entries int     `json:"entries"`
}

var (
	byName   = map[string]uint64{}
	byNumber = map[uint64]uint64{}
	ballast  [][]byte
	kept     = map[string]string{}

	integers, floats, wrong, children int64
)

func address(header unsafe.Pointer) uintptr { return *(*uintptr)(header) }

// count keeps general registers busy: a register that comes back wrong spoils the sum.
func count() {
	for {
		a, b, c, d, e, f := uint64(1), uint64(2), uint64(3), uint64(5), uint64(7), uint64(11)
		for i := uint64(0); i < 1<<14; i++ {
			a, b, c, d, e, f = a+b^i, b+c*3, c+d, d^e+i, e+f, f+a&7
		}
		if first := atomic.LoadUint64(&sum); first == 0 {
			atomic.StoreUint64(&sum, a+b+c+d+e+f|1)
		} else if first != a+b+c+d+e+f|1 {
			atomic.AddInt64(&wrong, 1)
		}
		atomic.AddInt64(&integers, 1)
	}
}

var sum uint64

// compute does the same with the vector registers that floating-point numbers live in.
func compute() {
	var first float64
	for {
		x, y, z, w := 1.0, 0.5, 0.25, 3.0
		for i := 0; i < 1<<13; i++ {
			x, y, z, w = math.Sqrt(x+w)+y, y*0.999+z, z+0.001*x, w*0.5+y
		}
		if got := x + y + z + w; first == 0 {
			first = got
		} else if got != first {
			atomic.AddInt64(&wrong, 1)
		}
		atomic.AddInt64(&floats, 1)
	}
}

// rest makes threads that wait inside the kernel, some of them in calls that time out.
func rest() {
	for {
		span := syscall.NsecToTimespec(int64(time.Millisecond))
		syscall.Nanosleep(&span, nil)
		var set syscall.FdSet
		limit := syscall.NsecToTimeval(int64(time.Millisecond))
		syscall.Select(0, &set, nil, nil, &limit)
	}
}

func main() {
	megabytes, _ := strconv.Atoi(append(os.Args, "8")[1])
	for i := 0; i < megabytes; i++ {
		block := make([]byte, 1<<20)
		for at := range block {
			block[at] = byte(i + at)
		}
		ballast = append(ballast, block)
	}
	for i := uint64(0); i < 3000; i++ {
		byNumber[i] = i * i
	}
	for i := uint64(0); i < 700; i++ {
		byName[strconv.FormatUint(i, 36)] = i
	}
	kept["a"] = "b"
	news := make(chan os.Signal, 64)
	signal.Notify(news, syscall.SIGCHLD)
	go func() {
		for range news {
			atomic.AddInt64(&children, 1)
		}
	}()
	go count()
	go compute()
	go rest()
	document, _ := json.Marshal(map[string]told{
		"byName":   {address(unsafe.Pointer(&byName)), len(byName)},
		"byNumber": {address(unsafe.Pointer(&byNumber)), len(byNumber)},
		"kept":     {address(unsafe.Pointer(&kept)), len(kept)},
	})
	fmt.Printf("%s\nREADY\n", document)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println(atomic.LoadInt64(&integers), atomic.LoadInt64(&floats), atomic.LoadInt64(&wrong), atomic.LoadInt64(&children))
	}
}
