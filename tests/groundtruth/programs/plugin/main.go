// Command plugin loads a plugin whose package has maps of types that only it has, lets it fill them, and prints where the
// maps of both lie.
package main

import (
	"os"
	"plugin"
	"runtime"
	"strconv"

	"truth/probe"
)

type rec struct{ name string }

var (
	words map[string]int
	own   map[string]*rec
	kept  any // what the plugin gave
	list  []probe.Lister
)

func symbol(p *plugin.Plugin, name string) any {
	found, err := p.Lookup(name)
	if err != nil {
		panic(err)
	}
	return found
}

func main() {
	p, err := plugin.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	words = probe.Add("host/words", "global", make(map[string]int))
	own = probe.Add("host/own", "global", make(map[string]*rec))
	for i := 0; i < 500; i++ {
		words[strconv.Itoa(i)] = i
		own[strconv.Itoa(i)] = &rec{strconv.Itoa(i)}
	}
	symbol(p, "Fill").(func())()
	kept = symbol(p, "Give").(func() any)()
	list = symbol(p, "List").(func() []probe.Lister)()
	waits := symbol(p, "Wait").(func() uint64)()
	loops := symbol(p, "Range").(func() uint64)()
	probe.Settle()
	probe.Report(func() {
		probe.Number("in_plugin", waits)
		probe.Number("in_loop", loops)
	})
	runtime.KeepAlive(kept)
	runtime.KeepAlive(list)
}
