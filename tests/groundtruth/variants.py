"""What is run: which releases, how each program is built, and what kind of evidence is taken."""

from __future__ import annotations

from dataclasses import dataclass

SERIES = ("1.19", "1.21", "1.22", "1.23", "1.24", "1.25", "1.26", "1.27")

DUMPED = ("1.21", "1.26")
"""Of which each program writes a heap dump too; test_maps and test_heapdump (a core and a dump of one process, which
must say the same) have every release."""

MODES = {
    # name: (ldflags, buildmode)
    "default": ("", ""),
    "stripped": ("-s -w", ""),
    "pie": ("", "pie"),
    "pie-stripped": ("-s -w", "pie"),
    "pie-external": ("-linkmode=external", "pie"),
    "pie-external-stripped": ("-s -w -linkmode=external", "pie"),
    "cgo": ("", ""),
    "cgo-stripped": ("-s -w", ""),
    "cgo-pie": ("-linkmode=external", "pie"),
    "cgo-pie-stripped": ("-s -w -linkmode=external", "pie"),
    "plugin": ("", ""),
    "plugin-stripped": ("-s -w", ""),
    "c-shared": ("", "c-shared"),
    "c-shared-stripped": ("-s -w", "c-shared"),
    "c-archive": ("", "c-archive"),
    "linkshared": ("", ""),
}
"""With external linking the C compiler's linker makes the file; ``cgo`` programs call C; ``plugin`` is a program that
loads a plugin, with that plugin; ``c-shared`` and ``c-archive`` are libraries for C programs; ``linkshared`` is linked
against the runtime in a library of its own."""


@dataclass(frozen=True, slots=True, order=True)
class Variant:
    """One way to build a program and to take evidence of it."""

    series: str
    mode: str = "default"
    experiment: str = ""
    evidence: str = "capture"
    """``capture`` (mapscope's own), ``gcore`` (gdb's), ``kernel`` (SIGABRT with GOTRACEBACK=crash), ``qemu`` (the same
    under user-mode emulation, which writes the core itself), ``child`` (likewise, of a child that dies in its place) or
    ``dump`` (runtime/debug.WriteHeapDump)."""
    arch: str = ""
    """GOARCH; empty for that of the machine."""

    @property
    def release(self) -> str:
        """``1.24+noswissmap``."""
        return self.series + (f"+{self.experiment}" if self.experiment else "")

    @property
    def stripped(self) -> bool:
        """Neither symbols nor DWARF."""
        return "-s" in MODES[self.mode][0].split()

    @property
    def cgo(self) -> bool:
        """Whether a C compiler takes part."""
        return self.mode.startswith(("cgo", "plugin", "c-")) or "external" in MODES[self.mode][0]

    @property
    def swiss(self) -> bool:
        """Which generation of maps the program has."""
        return int(self.series.split(".")[1]) >= 24 and self.experiment != "noswissmap"

    @property
    def twin(self) -> Variant:
        """The same sources and release with DWARF, whose package variables an oracle can name."""
        evidence = self.evidence if self.arch else "capture"
        return Variant(self.series, "default", self.experiment, evidence, self.arch)

    def __str__(self) -> str:
        return "-".join(filter(None, (self.release, self.arch, self.mode, self.evidence)))


def arm64(*series: str, mode: str = "default", evidence: str = "qemu") -> list[Variant]:
    """Programs for arm64, run by emulation."""
    return [Variant(one, mode, evidence=evidence, arch="arm64") for one in series]


def map_variants() -> list[Variant]:
    """Every release plain, stripped and as PIE, and by heap dump; both experiments; each other kind of evidence with
    each generation."""
    runs = [Variant(series, mode) for series in SERIES for mode in ("default", "stripped")]
    runs += [Variant(series, "pie", evidence="gcore") for series in SERIES]
    runs += [Variant(series, "pie-stripped") for series in ("1.23", "1.26")]
    runs += [Variant(series, f"pie-external{end}") for series in ("1.22", "1.23", "1.26") for end in ("", "-stripped")]
    runs += [Variant("1.24", mode, "noswissmap") for mode in ("default", "stripped")]
    runs += [Variant("1.25", "default", "noswissmap")]
    runs += [Variant("1.27", mode, "mapsplitgroup") for mode in ("default", "stripped")]
    runs += [
        Variant("1.19", "stripped", evidence="kernel"),
        Variant("1.23", "default", evidence="kernel"),
        Variant("1.26", "stripped", evidence="kernel"),
    ]
    runs += [Variant(series, evidence="dump") for series in SERIES]
    runs += [Variant(series, "stripped", evidence="dump") for series in ("1.22", "1.24", "1.27")]
    runs += [Variant(series, "pie", evidence="dump") for series in ("1.21", "1.27")]
    runs += [Variant(series, "pie-stripped", evidence="dump") for series in ("1.23", "1.26")]
    runs += [Variant("1.25", "default", "noswissmap", "dump"), Variant("1.27", "default", "mapsplitgroup", "dump")]
    runs += [*arm64(*SERIES), *arm64(*SERIES, mode="stripped")]
    runs += [*arm64("1.21", "1.27", mode="pie"), *arm64("1.23", "1.26", mode="pie-stripped")]
    # in the order of releases: the twin of a stripped build was run just before it
    return sorted(
        runs, key=lambda run: (SERIES.index(run.series), run.experiment, run.arch, list(MODES).index(run.mode))
    )
