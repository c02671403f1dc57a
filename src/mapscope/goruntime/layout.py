"""Layout tables: where the fields of the runtime's structs lie in one Go release and architecture.

The tables are ``layouts/goX.Y[-experiment]-ARCH.json``, written by ``tools/make_layouts.py`` from real toolchains.
A release without a table of its own gets the nearest one, marked ``exact=False``: a caller must then check what it
reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from mapscope.binary.structs import Field, StructLayout
from mapscope.errors import LayoutError

if TYPE_CHECKING:
    from mapscope.binary.dwarf import Dwarf

SCHEMA: Final = 1
"""Version of the tables' own format."""

_FOLDER: Final = Path(__file__).parent / "layouts"
_FILE: Final = re.compile(r"go1\.(\d+)(?:-([a-z0-9]+))?-([a-z0-9]+)\.json")
_RELEASE: Final = re.compile(r"go(\d{1,3})\.(\d{1,4})(?=\D|$)")
_EXPERIMENTS: Final = re.compile(r"[ -]X:([\w,]*)")
_MAX_VERSION: Final = 1024

_UNTABLED: Final = frozenset(
    {"staticlockranking", "allocheaders", "noallocheaders", "pagetrace", "noswissmap", "greenteagc", "nogreenteagc"}
)
"""Experiments that change structs of the runtime: without a table of their own the match is not exact."""

_DEFAULTS: Final = {"noswissmap": (0, 23), "nogreenteagc": (0, 25), "greenteagc": (26, 1 << 30)}
"""The minor releases, first and last, in which an experiment only names what is the default anyway."""

_ALIASES: Final = {
    "type": ("internal/abi.Type", "runtime._type"),
    "maptype": ("internal/abi.SwissMapType", "internal/abi.OldMapType", "internal/abi.MapType", "runtime.maptype"),
    "ptrtype": ("internal/abi.PtrType", "runtime.ptrtype"),
    "slicetype": ("internal/abi.SliceType", "runtime.slicetype"),
    "arraytype": ("internal/abi.ArrayType", "runtime.arraytype"),
    "chantype": ("internal/abi.ChanType", "runtime.chantype"),
    "structtype": ("internal/abi.StructType", "runtime.structtype"),
    "structfield": ("internal/abi.StructField", "runtime.structfield"),
    "interfacetype": ("internal/abi.InterfaceType", "runtime.interfacetype"),
    "imethod": ("internal/abi.Imethod", "runtime.imethod"),
    "functype": ("internal/abi.FuncType", "runtime.functype"),
    "uncommontype": ("internal/abi.UncommonType", "runtime.uncommontype"),
    "method": ("internal/abi.Method", "runtime.method"),
    "itab": ("internal/abi.ITab", "runtime.itab"),
    "swissmap": ("internal/runtime/maps.Map",),
    "swissiter": ("internal/runtime/maps.Iter",),
    "mapiter": ("internal/runtime/maps.Iter", "runtime.hiter"),
    "sched": ("runtime.schedt",),
    "finblock": ("runtime.finblock", "runtime.finBlock"),
    "syncmap": ("sync.Map",),
    "hashtriemap": (
        "internal/sync.HashTrieMap[interface {},interface {}]",
        "internal/concurrent.HashTrieMap[interface {},interface {}]",
    ),
    "hashtrienode": (
        "internal/sync.node[interface {},interface {}]",
        "internal/concurrent.node[interface {},interface {}]",
    ),
    "hashtrieindirect": (
        "internal/sync.indirect[interface {},interface {}]",
        "internal/concurrent.indirect[interface {},interface {}]",
    ),
    "hashtrieentry": (
        "internal/sync.entry[interface {},interface {}]",
        "internal/concurrent.entry[interface {},interface {}]",
    ),
}
_GENERATIONS: Final = {"oldmaptype": "Bucket", "swissmaptype": "Group"}
"""Names of map types of one generation, and the field that tells it (``bucket`` in Go 1.19)."""

_PACKAGES: Final = (
    "runtime.",
    "internal/abi.",
    "internal/runtime/maps.",
    "internal/runtime/gc.",
    "internal/goarch.",
    "sync.",
)
_CONSTANT_ALIASES: Final = {
    "pageSize": ("runtime.pageSize", "runtime._PageSize", "internal/runtime/gc.PageSize"),
    "_PageSize": ("runtime._PageSize", "runtime.pageSize", "internal/runtime/gc.PageSize"),
    "_PageShift": ("runtime._PageShift", "runtime.pageShift", "internal/runtime/gc.PageShift"),
    "_NumSizeClasses": ("runtime._NumSizeClasses", "internal/runtime/gc.NumSizeClasses"),
    "maxTinySize": ("runtime.maxTinySize", "runtime._TinySize", "internal/runtime/gc.TinySize"),
    "minSizeForMallocHeader": ("runtime.minSizeForMallocHeader", "internal/runtime/gc.MinSizeForMallocHeader"),
    "mallocHeaderSize": ("runtime.mallocHeaderSize", "internal/runtime/gc.MallocHeaderSize"),
    "maxSmallSize": ("runtime._MaxSmallSize", "runtime.maxSmallSize", "internal/runtime/gc.MaxSmallSize"),
}


class GoRelease(Struct, frozen=True):
    """What a Go version string says. ``minor`` is None where it names no release (``devel +abc``)."""

    text: str
    major: int
    minor: int | None
    experiments: frozenset[str]
    devel: bool


def parse_version(text: str) -> GoRelease:
    """Takes a version apart: ``go1.24.11 X:noswissmap``, ``go1.27.3-X:mapsplitgroup``, ``devel go1.28-ab12 Mon``."""
    text = text[:_MAX_VERSION]
    found = _RELEASE.search(text)
    named = _EXPERIMENTS.search(text)
    experiments = frozenset(name for name in named[1].split(",") if name) if named else frozenset()
    devel = text.startswith("devel") or "-devel" in text
    if found is None:
        return GoRelease(text, 1, None, experiments, devel)
    return GoRelease(text, int(found[1]), int(found[2]), experiments, devel)


class Layouts(Struct, frozen=True):
    """The layout table that serves one Go version.

    Attributes:
        go_version: as asked for.
        arch: ``"amd64"`` or ``"arm64"``.
        release: (major, minor) of the program, or of the table where the version does not say it.
        series: ``"1.28"``, the program's; ``used_series``: the table's, with its experiment (``"1.24-noswissmap"``).
        exact: the table is of the program's own series and experiments.
        class_to_size: bytes of each size class; class 0 is for large objects and has size 0.
        globals_of_interest: names of runtime variables that the release has.
    """

    go_version: str
    arch: str
    release: tuple[int, int]
    series: str
    used_series: str
    exact: bool
    class_to_size: tuple[int, ...]
    globals_of_interest: tuple[str, ...]
    constants: dict[str, int]
    _structs: dict[str, Any]
    _made: dict[str, StructLayout] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """Go's full names of all structs in the table."""
        return tuple(self._structs)

    def full_name(self, name: str) -> str | None:
        """Go's full name of the struct that ``name`` stands for in this release, or None.

        ``name`` is a full name (``internal/abi.Type``), a bare one (``mspan``), or one that is the same in all
        releases: ``type``, ``maptype``, ``oldmaptype``, ``swissmaptype``, ``swissmap``, ``mapiter``, ``itab``,
        ``hashtriemap``, ``sched`` and those of ``_ALIASES``.
        """
        if name in self._structs:
            return name
        if name in _GENERATIONS:
            full = self.full_name("maptype")
            wanted = _GENERATIONS[name]
            fields = self._structs[full]["fields"] if full else {}
            return full if wanted in fields or wanted.lower() in fields else None
        for full in (*_ALIASES.get(name, ()), *(package + name for package in _PACKAGES)):
            if full in self._structs:
                return full
        return None

    def has(self, name: str) -> bool:
        """True when this release has the struct (names as in ``full_name``)."""
        return self.full_name(name) is not None

    def struct(self, name: str) -> StructLayout:
        """The struct that ``name`` stands for (as in ``full_name``).

        Raises:
            LayoutError: the release has none.
        """
        full = self.full_name(name)
        if full is None:
            raise LayoutError(
                f"Go {self.used_series} ({self.arch}) has no struct {name}",
                "this part of the runtime differs by release",
            )
        if full not in self._made:
            raw = self._structs[full]
            self._made[full] = StructLayout(
                full,
                raw["size"],
                {name: Field(offset, size, kind) for name, (offset, size, kind) in raw["fields"].items()},
            )
        return self._made[full]

    def with_dwarf(self, dwarf: Dwarf) -> Layouts:
        """The same table with every struct that ``dwarf`` describes as it is there: the executable's own word wins."""
        made = {name: found for name in self._structs if (found := dwarf.struct(name)) is not None and found.size}
        return replace(self, _made=made)

    def const(self, name: str) -> int:
        """An integer constant of the release: full name, bare name, or one that is the same in all releases (pageSize).

        Raises:
            LayoutError: the release has none.
        """
        tried = (name, *_CONSTANT_ALIASES.get(name, ()), *(package + name for package in _PACKAGES))
        found = next((full for full in tried if full in self.constants), None)
        if found is None:
            raise LayoutError(
                f"Go {self.used_series} ({self.arch}) has no constant {name}",
                "this part of the runtime differs by release",
            )
        return self.constants[found]

    def has_const(self, name: str) -> bool:
        """True when ``const(name)`` has an answer."""
        tried = (name, *_CONSTANT_ALIASES.get(name, ()), *(package + name for package in _PACKAGES))
        return any(full in self.constants for full in tried)


@lru_cache(maxsize=1)
def tables() -> dict[tuple[int, str, str], Path]:
    """The tables at hand: (minor release, experiment or "", architecture) → file."""
    found = {}
    for path in sorted(_FOLDER.glob("go*.json")):
        if match := _FILE.fullmatch(path.name):
            found[int(match[1]), match[2] or "", match[3]] = path
    return found


def load(go_version: str, arch: str) -> Layouts:
    """The layouts for a program of ``go_version`` on ``arch``: the table of its series, else the nearest one.

    Of two tables equally near the newer is taken (1.20 has the heap bitmap of 1.21, not that of 1.19).

    Raises:
        LayoutError: there is no table for this architecture at all.
    """
    release = parse_version(go_version)
    at_hand = tables()
    minors = sorted({minor for minor, _, its_arch in at_hand if its_arch == arch})
    if not minors:
        arches = ", ".join(sorted({its_arch for _, _, its_arch in at_hand}))
        raise LayoutError(
            f"no layout table for {arch or 'an unknown architecture'}", f"programs of {arches} can be read"
        )
    newest = minors[-1]
    said = newest if release.minor is None else release.minor
    minor = said if release.major == 1 else newest
    used = min(minors, key=lambda one: (abs(one - minor), -one))
    wanted = {
        e
        for e in release.experiments & _UNTABLED
        if not _DEFAULTS.get(e, (1, 0))[0] <= minor <= _DEFAULTS.get(e, (1, 0))[1]
    }
    experiment = next((e for e in sorted(wanted) if (used, e, arch) in at_hand), "")
    exact = used == release.minor and release.major == 1 and not release.devel and not wanted - {experiment}
    table = _read(at_hand[used, experiment, arch])
    return Layouts(
        go_version=go_version,
        arch=arch,
        release=(release.major, said),
        series=f"{release.major}.{said}",
        used_series=f"1.{used}" + (f"-{experiment}" if experiment else ""),
        exact=exact,
        class_to_size=tuple(table["class_to_size"]),
        globals_of_interest=tuple(table["globals_of_interest"]),
        constants=table["constants"],
        _structs=table["structs"],
    )


@lru_cache(maxsize=4)
def _read(path: Path) -> Any:
    table = msgspec.json.decode(path.read_bytes())
    if table.get("schema") != SCHEMA:
        raise LayoutError(f"{path.name} is a table of another version of mapscope", "reinstall mapscope")
    return table


def check_against_dwarf(layouts: Layouts, dwarf: Dwarf, names: Iterable[str] | None = None) -> list[str]:
    """What an executable's own DWARF says otherwise than the table: one line a difference, empty when they agree.

    ``names``: the structs that are asked about, by Go's full names; None: all.
    Structs and fields that the executable does not describe are not differences: the linker drops unused types.
    """
    differences: list[str] = []
    for name in layouts.names() if names is None else names:
        theirs = dwarf.struct(name)
        if theirs is None or theirs.size == 0:
            continue
        ours = layouts.struct(name)
        if ours.size != theirs.size:
            differences.append(f"{name}: {ours.size} bytes in the table, {theirs.size} in the executable")
        for path, entry in ours.fields.items():
            other = theirs.fields.get(path)
            if other is None:
                differences.append(f"{name}.{path}: not in the executable")
            elif (entry.offset, entry.size) != (other.offset, other.size):
                differences.append(
                    f"{name}.{path}: at {entry.offset}, {entry.size} bytes, in the table; "
                    f"at {other.offset}, {other.size} bytes, in the executable"
                )
    return differences
