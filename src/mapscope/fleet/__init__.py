"""Many services watched over time: ``mapscope watch`` and its store."""
