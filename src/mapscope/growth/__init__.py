"""Growing a sharded store one shard at a time: when to move, what to move where, and how a move survives a crash."""
