"""The report over a small local server: parts on demand, for heaps that no single file can hold."""
