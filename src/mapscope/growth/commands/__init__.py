"""The subcommands of ``mapscope growth``, one a file; each has a ``command``."""
