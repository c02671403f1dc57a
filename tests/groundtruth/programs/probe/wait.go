package probe

import (
	"os"
	"runtime/debug"
	"syscall"
)

var line [4096]byte

// Wait returns when standard input ends. Until then it obeys what is written there: of a line "dump PATH" it makes a heap
// dump at PATH and says DUMPED.
func Wait() {
	n := 0
	for {
		if got, err := os.Stdin.Read(line[n : n+1]); got == 0 || err != nil {
			return
		}
		if line[n] != '\n' {
			n++
			continue
		}
		if n > 5 && string(line[:5]) == "dump " {
			dump(string(line[5:n]))
		}
		if string(line[:n]) == "fork" {
			dieAsChild()
			os.Stdout.WriteString("FORKED\n")
		}
		n = 0
	}
}

func dump(path string) {
	fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC, 0o600)
	if err != nil {
		panic(err)
	}
	debug.WriteHeapDump(uintptr(fd))
	syscall.Close(fd)
	os.Stdout.WriteString("DUMPED\n")
}
