"""The rules as SARIF wants them: name, what they say, why it happens, what to do, how often they are right."""

from __future__ import annotations

from msgspec import Struct

LEVELS = {"exact": "error", "inferred": "warning", "possible": "note", "uncertain": "note"}
"""SARIF's level by the confidence of a finding."""
_PRECISIONS = {"very-high": "error", "high": "warning", "medium": "note", "low": "note"}
_REBUILD = "Copy what is left into a new map: `make(map[K]V, len(m))`. `clear` and `maps.Clone` keep the size."
_LOOP = (
    "Do not wait inside a range over a map: copy the keys first, then loop over the copy. Give a leaked goroutine a "
    "way out: a context, or a channel that is closed."
)


class RuleText(Struct, frozen=True):
    """One rule. ``precision`` is GitHub's word: very-high, high, medium, low."""

    id: str
    name: str
    title: str
    why: str
    do: str
    precision: str

    @property
    def level(self) -> str:
        """Where a result has none of its own."""
        return _PRECISIONS[self.precision]


RULES: tuple[RuleText, ...] = (
    RuleText(
        "R1", "GrowthInProgress", "growth in progress holds the old bucket array",
        "A classic map (up to Go 1.23) grows step by step, and only writes make it go on. A map that was filled and is "
        "then only read keeps the old bucket array beside the new one for ever.",
        "Make the map with its final size, or rebuild it once it is filled. Go 1.24 and later grow a table at once.",
        "medium",
    ),
    RuleText(
        "R2", "SameSizeGrowth", "same-size growth holds two equal bucket arrays",
        "Too many overflow buckets start a growth into an array of the same size. It goes on only when the map is "
        "written, and a map that was emptied meanwhile returns from `delete` and `clear` before it evacuates anything.",
        "Put a new map in its place.", "high",
    ),
    RuleText(
        "R3", "StaleValues", "evacuated old buckets keep deleted values alive",
        "After a `range` before a growth, evacuation leaves the old slots as they are, in case the iterator comes "
        "back. What is deleted afterwards stays alive in them until the growth ends.",
        "Make the map with its final size, or rebuild it once it is filled.", "medium",
    ),
    RuleText(
        "R4", "IteratorKeepsArray", "blocked iterator keeps a bucket array that its map has left behind",
        "An iterator copies the pointer to the buckets when its loop begins. A growth gives the map a new array and "
        "never looks at iterators, so the old array lives as long as the loop, with all that its entries point to.",
        _LOOP, "very-high",
    ),
    RuleText(
        "R5", "IteratorKeepsTable", "blocked iterator keeps a table that its map has left behind",
        "An iterator over a Swiss map holds the table that it walks. When the map splits or grows, the table is "
        "replaced, and the old one lives as long as the loop, with all that its entries point to.",
        _LOOP, "very-high",
    ),
    RuleText(
        "R6", "IteratorKeepsMap", "only an iterator keeps this map alive",
        "An iterator points to its map. The owner has dropped the map, and the loop over it has not ended.",
        "End the goroutine when its map is dropped. " + _LOOP, "high",
    ),
    RuleText(
        "R7", "ExhaustedIterator", "exhausted iterator on the heap keeps its map or an old array of it",
        "An iterator in a heap object (`reflect.MapIter`) keeps its map after its last entry, until it is dropped.",
        "Drop it, or call `Reset` on it.", "very-high",
    ),
    RuleText(
        "R8", "PullWithoutStop", "iter.Pull without stop keeps its map and a goroutine",
        "`iter.Pull` runs the sequence in a coroutine of its own. No collection ends a coroutine: it and the map it "
        "loops over stay when neither `stop` is called nor the sequence read to its end.",
        "`next, stop := iter.Pull(seq)`, then `defer stop()`.", "very-high",
    ),
    RuleText(
        "R9", "SparseMap", "sparse map keeps arrays that were made for many more entries",
        "Maps never shrink: neither `delete` nor `clear` gives an array back (golang/go#20135).", _REBUILD, "high",
    ),
    RuleText(
        "R10", "OverHintedMap", "map was made far larger than what it holds",
        "The size given to `make` is far beyond what the map holds, and nothing shows that it ever held more.",
        "Give `make` a size near what is used, or none.", "medium",
    ),
    RuleText(
        "R11", "OverflowBuckets", "overflow buckets take as much as the buckets",
        "Inserts and deletes over a long time spread the entries of a classic map over overflow buckets, which stay.",
        _REBUILD + " Go 1.24 and later have no overflow buckets.", "high",
    ),
    RuleText(
        "R12", "Tombstones", "tombstones of deleted entries blew up the tables",
        "A deleted slot of a Swiss map counts against the load until its table is rebuilt, so steady churn doubles the "
        "table. Go 1.25 and later prune first, for maps with integer, pointer or string keys.",
        "Use Go 1.25 or later for such types. " + _REBUILD, "high",
    ),
    RuleText(
        "R13", "LargeInlineValues", "large inline values in a sparse map",
        "Keys and values of up to 128 bytes lie in the slots themselves, in empty ones too.",
        "Store pointers to the values.", "high",
    ),
    RuleText(
        "R14", "SyncMapDeleted", "sync.Map keeps entries that were deleted",
        "Up to Go 1.23 `Delete` leaves the key in the read map of a `sync.Map`. It goes only when a new key makes a "
        "dirty map without it and enough misses promote that. Nothing writes to a read map, so one that was promoted "
        "in mid growth stands still.",
        "Use Go 1.24 or later; or `Range` into a new `sync.Map` and swap; or a map under a `sync.RWMutex`.", "high",
    ),
    RuleText(
        "R15", "SyncMapRange", "blocked sync.Map.Range keeps a read map that was replaced",
        "`Range` loops over the read map without the lock. A promotion of the dirty map meanwhile replaces it, and "
        "the loop keeps the old one.",
        "Do not wait inside `Range`: collect first, then wait.", "high",
    ),
    RuleText(
        "R16", "SubstringKeys", "short string keys keep large buffers alive",
        "A substring keeps its whole buffer. Assigning to a key that is there replaces the pointer of the key, too.",
        "`strings.Clone(key)` before the key goes into the map, on update too.", "very-high",
    ),
    RuleText(
        "R17", "ConservativePin", "words of an ended loop seem to keep an old array or map",
        "A goroutine that was stopped at any instruction has no stack map, so words of a loop that has ended count as "
        "pointers.",
        "Look again later: it passes at the next call.", "low",
    ),
)  # fmt: skip
"""The rules on snapshots, in the order of docs/reference/findings.md."""

INDICATORS: tuple[RuleText, ...] = (
    RuleText(
        "P3", "PairOfArrays", "two generations of a map's array are in use",
        "At one place exactly two growth arrays of a classic map are in use, of the sizes of one map before and after "
        "a growth. The old one may be held beside the new one by a growth that stands, or by an iterator.",
        "Take a core (`mapscope capture PID`) and ask it: `mapscope analyze`. A profile cannot decide.", "medium",
    ),
    RuleText(
        "P5", "OnlyRising", "map memory of this place only rises",
        "Over a series of heap profiles the map memory that was allocated here falls from no profile to the next. "
        "Whether it is a cache that fills or a leak, a profile does not show.",
        "Take two cores a while apart and compare them: `mapscope diff`.", "medium",
    ),
    RuleText(
        "P7", "GoroutineInLoop", "goroutines stand in a loop over a map",
        "A goroutine that waits inside a `range` over a map keeps the array that the map had when the loop began, "
        "with all that its entries point to.",
        _LOOP + " Whether the map has grown since, a core tells: `mapscope analyze`.", "medium",
    ),
)  # fmt: skip
"""What profiles suspect, as in docs/reference/indicators.md."""


def descriptor(rule: RuleText) -> dict[str, object]:
    """The ``reportingDescriptor`` of a rule."""
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why.replace("`", "")},
        "help": {
            "text": f"{rule.why} {rule.do}".replace("`", ""),
            "markdown": f"**Why.** {rule.why}\n\n**What to do.** {rule.do}",
        },
        "defaultConfiguration": {"level": rule.level},
        "properties": {
            "precision": rule.precision,
            "problem.severity": {"error": "error", "warning": "warning", "note": "recommendation"}[rule.level],
            "tags": ["memory", "performance", "go"],
        },
    }
