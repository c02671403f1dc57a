"""The scenarios: a folder each, with a Go program and what is expected of it."""
