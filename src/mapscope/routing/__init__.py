"""The client's side of a sharded store: the file that names it, its shards, and the way to the node that holds one."""
