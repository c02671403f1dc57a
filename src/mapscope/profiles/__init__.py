"""Profiles of running Go services: what /debug/pprof/ gives, read as columns, and what of it maps made."""
