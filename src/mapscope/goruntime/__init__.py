"""goruntime."""
