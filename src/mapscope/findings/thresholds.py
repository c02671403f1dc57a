"""Every number that decides whether a state is worth a word. One place; the document shows them.

They are chosen so that healthy programs stay silent: a classic map just after growth is 38 to 41 % full and a
steady LRU on Go 1.24 sits at 31 %, both well above a quarter of what their arrays can take.
"""

from __future__ import annotations

from msgspec import Struct

_KIB = 1024


class Thresholds(Struct, frozen=True):
    """Bytes are bytes, factors and shares are plain ratios."""

    growth_min_bytes: int = 16 * _KIB
    """R1, R2, R3: smaller old arrays are not reported one by one."""
    iterator_min_bytes: int = 16 * _KIB
    """R4 to R8, R15, R17: iterators that alone keep less are not reported."""
    sparse_min_bytes: int = 64 * _KIB
    """R9 to R14: smaller waste is not reported map by map."""
    keys_min_bytes: int = 64 * _KIB
    """R16: smaller excess is not reported."""
    group_min_bytes: int = 1024 * _KIB
    """Maps of one type that are each too small to report are reported together from this sum on."""
    group_after: int = 100
    """At most so many maps of one type are reported one by one by a rule; the others are reported together."""
    sparse_factor: float = 3.5
    """R9: the arrays have at least so many times the slots that the entries need. Sizes are powers of two, so this
    means four; the room below is for Swiss maps of which a few tables have not split yet.
    """
    hint_factor: int = 8
    """R10: the same, where nothing shows that the map was ever fuller."""
    history_buckets: int = 1024
    """Classic: with fewer buckets a map that was filled once may have left no overflow bucket behind (0.63 % of the
    buckets overflow just after a doubling, at 3.25 entries a bucket)."""
    history_groups: int = 256
    """Swiss: with fewer groups a map that was filled once may have left no tombstone behind (2.7 % of the groups
    are full just after a table doubled, at 3.5 entries a group).
    """
    overflow_share: float = 0.75
    """R11: overflow buckets in use, as a share of the buckets. The runtime regrows at 1 (tooManyOverflowBuckets); a map
    at its load factor of 6.5 needs 0.21."""
    tombstone_share: float = 0.10
    """R12: tombstones as a share of the slots, the share above which inserts prune from Go 1.25 on
    (table.pruneTombstones)."""
    tombstone_factor: float = 3.5
    """R12: the arrays have at least so many times the slots that the entries need."""
    churn_share: float = 0.25
    """R12 on Go 1.24: tombstones as a share of the slots of a map that churn is doubling."""
    churn_factor: int = 2
    """R12 on Go 1.24: the slots of such a map. From Go 1.25 on steady churn stays at twice the slots with 0.2 to 0.4
    tombstones, so that is no finding there."""
    inline_slot_bytes: int = 64
    """R13: key and value take at least so many bytes in each slot."""
    keys_factor: int = 4
    """R16: the objects behind the keys are at least so many times what copies of the keys would take."""
    keys_max_maps: int = 5000
    """R16 looks into the keys of at most so many maps, those with most entries first: about 0.1 ms each."""
    sync_min_entries: int = 64
    """R14: maps of a sync.Map with fewer entries are not looked at: those of the standard library are as small."""
    sync_dead_share: float = 0.75
    """R14: deleted entries as a share of the entries of a sync.Map. Programs that store and delete in turn pass through
    up to two thirds just before ``dirty`` is promoted: with n live entries the read map then has 2n deleted ones."""
    sync_max_maps: int = 5000
    """R14 looks into at most so many sync.Maps, those with most entries first: about 0.5 ms each."""
    sync_max_marked: int = 16
    """R14 marks the heap again for at most so many of them."""
    stale_max_maps: int = 16
    """R3 asks for at most so many maps, the largest old arrays first: each asks for another marking of the heap."""


DEFAULT = Thresholds()
"""The thresholds of every report."""
