"""The questions that the page asks, answered from one snapshot. Each answer is a small document, ready to be sent."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cached_property

import msgspec
import numpy as np
from msgspec.structs import replace

from mapscope.errors import UsageError
from mapscope.maps.contents import Content
from mapscope.report.address_document import AddressDocument
from mapscope.report.address_view import build_address, build_branch, build_contents
from mapscope.report.chain_view import build_chain
from mapscope.report.escape import ascii_json
from mapscope.report.map_view import build_map
from mapscope.report.page.caps import Caps
from mapscope.report.page.goroutines import groups
from mapscope.report.page.onemap import map_pack
from mapscope.report.page.pack import Pack
from mapscope.report.page.shown import record
from mapscope.report.page.snapshot import snapshot_pack, title
from mapscope.report.rows import map_rows
from mapscope.snapshot import Snapshot
from mapscope.web.listing import Listing, Wanted

KIND = "served"
"""The kind of page in ui/src/pages that shows it."""
MAX_BYTES = 32 << 20
"""Largest answer."""


class Questions:
    """Answers about ``snapshot``; one thread at a time may ask."""

    def __init__(self, snapshot: Snapshot, *, show_contents: bool = False) -> None:
        """``show_contents``: contents may be asked for."""
        self._snapshot = snapshot
        self.shows = show_contents
        self._listing = Listing(snapshot.maps)
        self._page = b""
        self.title = title(snapshot)

    def prepare(self) -> None:
        """All that the first questions need, so that none of them takes long and none is stopped half way."""
        snapshot = self._snapshot
        snapshot.holding.dominators  # noqa: B018  # made when it is first asked for
        snapshot.findings  # noqa: B018
        snapshot.suspects  # noqa: B018
        snapshot.maps_by_goroutine()
        pack = snapshot_pack(snapshot)
        pack.kind = KIND
        self._page = pack.to_bytes()

    def page(self) -> bytes:
        """The data of the report, as a report in one file has it."""
        return self._page

    def maps(self, wanted: Wanted) -> bytes:
        """A page of the table of maps: how many match, and the rows as ``mapscope maps -f json`` has them."""
        rows, matching = self._listing.page(wanted)
        listed = list(map_rows(self._snapshot.maps, rows, self._snapshot.holders))
        total = len(self._snapshot.maps)
        return encoded({"matching": matching, "total": total, "offset": wanted.offset, "maps": listed})

    def map(self, address: int) -> bytes:
        """One map in full, as ``mapscope map -f json`` has it; never with contents."""
        return encoded(build_map(self._snapshot, self._snapshot.detail(address)))

    def map_pack(self, address: int) -> bytes:
        """The same as the page's data."""
        return bounded(map_pack(self._snapshot, address).to_bytes())

    def address(self, address: int) -> bytes:
        """What lies at an address, and who holds it."""
        return encoded(self._at(address))

    def address_pack(self, address: int) -> bytes:
        """The same as the page's data."""
        return bounded(Pack("object", {"object": self._at(address)}).to_bytes())

    def _at(self, address: int) -> AddressDocument:
        snapshot = self._snapshot
        spot = snapshot.lookup(address)
        try:
            held = snapshot.holder(address)
        except UsageError:  # nothing that is live: said by ``kind``
            held = None
        is_map = snapshot.maps.at(address) is not None
        return build_address(spot, snapshot.owner(spot), held, is_map=is_map, shows=self.shows)

    def chains(self, address: int) -> bytes:
        """Every way that differs, as ``mapscope chain --all -f json`` has it."""
        snapshot = self._snapshot
        return encoded(build_chain(snapshot, address, snapshot.holder(address), snapshot.chains(address)))

    def branch(self, node: int, limit: int) -> bytes:
        """The dominator tree right below a node; 0 is the whole heap."""
        return encoded(build_branch(node, self._snapshot.holding.branch(node, limit)))

    def types(self, sort: str, search: str, offset: int, limit: int) -> bytes:
        """Live objects by type: how many types match, and a page of them."""
        table = self._snapshot.tables.types
        names, objects, sizes = table["type"], table["objects"], table["bytes"]
        folded = search.casefold()
        rows = np.flatnonzero(objects > 0)
        if folded:
            rows = np.array([row for row in rows.tolist() if folded in str(names[row]).casefold()], dtype=np.int64)
        key = ~(sizes if sort == "bytes" else objects)[rows]
        shown = rows[np.lexsort((rows, key))][offset : offset + limit].tolist()
        listed = [{"type": str(names[row]), "objects": int(objects[row]), "bytes": int(sizes[row])} for row in shown]
        return encoded({"matching": len(rows), "offset": offset, "types": listed})

    def goroutines(self, search: str, offset: int, limit: int) -> bytes:
        """Goroutines by stack, as the report groups and orders them: how many groups match, and a page of them."""
        folded = search.casefold()
        found = [one for one in self._stacks if not folded or folded in _words(one)]
        return encoded({"matching": len(found), "offset": offset, "groups": found[offset : offset + limit]})

    @cached_property
    def _stacks(self) -> list[dict[str, object]]:
        made = groups(self._snapshot, replace(Caps(), groups=sys.maxsize))["groups"]
        assert isinstance(made, list)
        return [{name: value for name, value in one.items() if name != "all"} for one in made]

    def contents(self, address: int) -> bytes:
        """Some contents of a map or an object. UsageError where the server was not started with --show-contents."""
        if not self.shows:
            raise UsageError("contents are not shown", "start the server with --show-contents")
        snapshot = self._snapshot
        found = snapshot.maps.at(address)
        entries: list[tuple[Content | str, Content]] = []
        more = 0
        if found is not None:
            entries += snapshot.detail(address, contents=True).contents or ()
            more = max(found.count - len(entries), 0)
        else:
            entries += snapshot.peek(snapshot.lookup(address))
        return encoded(build_contents(address, entries, more, redacted=snapshot.evidence.redacted))


def _words(group: Mapping[str, object]) -> str:
    """What a search among goroutines looks at: state, maker, functions and files."""
    frames = group["frames"]
    assert isinstance(frames, list)
    texts = [group["status"], group["wait_reason"], group["created_by"]]
    texts += [frame[name] for frame in frames for name in ("function", "file")]
    return " ".join(str(text) for text in texts if text).casefold()


def encoded(document: object) -> bytes:
    """A document as JSON in printable ASCII, its texts escaped and bounded as all that a page shows."""
    return bounded(ascii_json(msgspec.json.encode(record(document))))


def bounded(answer: bytes) -> bytes:
    """The same, where it is not too large to be sent. Raises UsageError."""
    if len(answer) > MAX_BYTES:
        raise UsageError(f"the answer has more than {MAX_BYTES >> 20} MB", "ask for less, or use the command line")
    return answer
