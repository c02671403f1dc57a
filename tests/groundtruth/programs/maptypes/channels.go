package main

import (
	"truth/probe"
)

type message struct {
	id   int
	body map[string]int
}

var (
	gMaps     chan map[string]int
	gMessages chan message
	gPointers chan *message
	gChans    chan chan map[string]int
)

// channels leaves maps in the buffers of channels; the first slots have been used before, so that the queue has turned.
func channels() {
	gMaps = make(chan map[string]int, 4)
	gMessages = make(chan message, 3)
	gPointers = make(chan *message, 3)
	for i := 0; i < 2; i++ {
		gMaps <- strings(i)
		<-gMaps
	}
	for i := 0; i < 4; i++ {
		gMaps <- probe.Add("channel/map/"+word(i), "channel", strings(i*4))
	}
	for i := 0; i < 3; i++ {
		gMessages <- message{i, probe.Add("channel/struct/"+word(i), "channel", strings(i*5))}
		gPointers <- &message{i, probe.Add("channel/pointer/"+word(i), "channel", strings(i*6))}
	}
	inner := make(chan map[string]int, 1)
	inner <- probe.Add("channel/channel", "channel", strings(11))
	gChans = make(chan chan map[string]int, 1)
	gChans <- inner
}
