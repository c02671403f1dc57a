// Command leaky is a small session service with the mistakes that maps invite. README.md says which and how to mend them.
//
// It serves HTTP on the loopback address, replays a day of traffic against its own handlers, prints "ready" and waits until
// its standard input ends.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

func main() {
	scale := flag.Float64("scale", 1, "size of the replayed day; 1 takes about 150 MB")
	flag.Parse()

	service := newService()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go http.Serve(listener, service.routes())

	day := replay{handler: service.routes(), scale: *scale}
	day.morning()
	day.noon()
	day.night()

	response, err := http.Get("http://" + listener.Addr().String() + "/health")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	words, _ := io.ReadAll(response.Body)
	response.Body.Close()
	fmt.Printf("%s", words)
	fmt.Println("ready", os.Getpid())
	io.Copy(io.Discard, os.Stdin)
}
