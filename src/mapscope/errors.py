"""One family of errors. Each says what is wrong, where, and what to do next (the hint)."""

from __future__ import annotations


class MapscopeError(Exception):
    """Base of every error that a user can cause or mend.

    ``str(error)`` is one line saying what is wrong and where; ``hint`` is one line saying what to do. The command line
    prints both and exits with ``exit_status`` (2: usage or unusable input).
    """

    exit_status = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class EvidenceError(MapscopeError):
    """The evidence (core, dump, process) cannot be used: not a core, cut short, not a Go process."""


class ExecutableError(MapscopeError):
    """The executable is missing, is not the one that made the evidence, or is not a Go program."""


class FormatError(MapscopeError):
    """Bytes do not have the structure that their format promises (ELF, DWARF, pclntab, type descriptor)."""


class LayoutError(MapscopeError):
    """No layout table fits this Go release and architecture, or the fitting one failed its self-check."""


class UsageError(MapscopeError):
    """A command or an API call was given something it cannot take (an address that is no map, a bad pattern)."""
