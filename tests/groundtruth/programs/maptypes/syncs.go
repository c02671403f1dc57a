package main

import (
	"sync"

	"truth/probe"
)

var (
	gSyncStored   sync.Map
	gSyncPromoted sync.Map
	gSyncDeleted  sync.Map
	gSyncMany     *sync.Map
	gSyncEmpty    sync.Map
)

// syncs fills sync.Maps whose keys and values hold maps. Up to Go 1.23 each holds one or two Go maps of its own, which
// noteSync adds; from 1.24 it is a trie without any.
func syncs() {
	for i := 0; i < 6; i++ {
		gSyncStored.Store(word(i), probe.Add("sync/stored/"+word(i), "sync", strings(i*2)))
		gSyncStored.Store(&owner{i, probe.Add("sync/key/"+word(i), "sync", strings(i*2))}, i)
		gSyncPromoted.Store(i, &owner{i, probe.Add("sync/promoted/"+word(i), "sync", strings(i*2))})
		gSyncDeleted.Store(i, i)
	}
	for i := 0; i < 20; i++ { // misses promote the dirty map
		gSyncPromoted.Load(i % 6)
		gSyncDeleted.Load(i % 6)
	}
	for i := 0; i < 5; i++ {
		gSyncDeleted.Delete(i)
	}
	gSyncDeleted.Store("new", 1) // makes a dirty map beside the read map
	gSyncMany = new(sync.Map)
	for i := 0; i < 1000; i++ {
		gSyncMany.Store(i, i)
	}
	gSyncMany.Range(func(any, any) bool { return true })
	for i := 0; i < 900; i++ {
		gSyncMany.Delete(i)
	}
	noteSync("stored", &gSyncStored)
	noteSync("promoted", &gSyncPromoted)
	noteSync("deleted", &gSyncDeleted)
	noteSync("many", gSyncMany)
	noteSync("empty", &gSyncEmpty)
}
