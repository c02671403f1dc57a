"""mapscope: finds every Go map in a process's memory and says which hold memory that they should not."""

__version__ = "0.1.0"
