// Command presence knows who is online. It is the service of the tutorial (docs/tutorial.md): its memory rises with each busy
// day and never falls again.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:6060", "where to listen")
	days := flag.Int("days", 6, "days of traffic to replay")
	flag.Parse()

	service := &server{online: map[uint64]visit{}}
	http.HandleFunc("/seen", service.seen)
	http.HandleFunc("/expire", service.expire)
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go http.Serve(listener, nil)
	fmt.Println("process", os.Getpid(), "listens on", listener.Addr())

	for day := 1; day <= *days; day++ {
		replay(service, day)
	}
	select {} // it serves on
}
