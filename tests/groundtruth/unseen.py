"""The maps that may stay unseen in a stripped build, each by name, with the reason.

Only maps of at most eight entries are ever excused (the test checks that): their single bucket or group is too small to
carry a type word of the runtime's own, and no word of a typed object leads to their header.
"""

from __future__ import annotations

from tests.groundtruth.variants import Variant

_EMPTY = "a package variable leads to it; an empty map without an array is a seed among zeros, no shape to know it by"
STRIPPED: dict[str, str] = {
    "global/strings/0": _EMPTY,
    "global/array/key-0": _EMPTY,
    "global/chain/key-0": "the same, through a pointer",
}
"""Name of the map → why no typed word reaches it."""


def names(variant: Variant) -> frozenset[str]:
    """The maps that this build may hide."""
    return frozenset(STRIPPED) if variant.stripped else frozenset()


NOT_DUMPED = {
    "cleanup": "a heap dump lists finalizers, not cleanups (runtime/heapdump.go: dumproots)",
}
"""Ways to reach a map that no heap dump shows."""

UNTYPED = {
    "unsafe": "an unsafe.Pointer has no type to give",
    "stack": "words of frames are taken without their types",
    "stack-defer": "the same: the closure of a defer is on the stack",
    "stack-pointers": "the same: the pointer to the struct that holds the map",
    "stack-local": "the same: the header itself",
    "stack-send": "the same: the word that waits to be sent",
    "stack-closure": "the same: the closure that the goroutine runs",
    "stack-any": "the same: the compiler keeps the value of the interface, not the interface",
    "closure": "the type of a closure's captured variables is written down nowhere",
    "method-value": "a method value is a closure over its receiver",
    "finalizer": "the closure of a finalizer hangs on a special, which has no type",
    "finalizer-queue": "the queue of finalizers has the object without its type",
    "cleanup": "the closure of a cleanup hangs on a special, which has no type",
}
"""Ways to reach a map on which even DWARF names no type. A map that has nothing better may be without one, and is then
``inferred``."""
