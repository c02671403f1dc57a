package main

import (
	"runtime"
	"sync"
)

// init starts more threads than are ever needed: the runtime allocates the record of a thread on the heap, at any time, and
// what is measured would rise by it.
func init() {
	var begun, ended sync.WaitGroup
	release := make(chan struct{})
	begun.Add(16)
	ended.Add(16)
	for i := 0; i < 16; i++ {
		go func() {
			runtime.LockOSThread()
			begun.Done()
			<-release
			runtime.UnlockOSThread()
			ended.Done()
		}()
	}
	begun.Wait()
	close(release)
	ended.Wait()
}
