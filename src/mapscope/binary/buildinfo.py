"""What ``go version -m`` shows: the Go release and the build settings that the linker leaves in every executable.

Format: debug/buildinfo/buildinfo.go. A 32-byte header (magic, pointer size, flags); from Go 1.18 on it is followed by
two strings, each with its length as a varint before it: the release, then the module information between two 16-byte
marks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct, field

from mapscope.binary.image import Image, find_aligned
from mapscope.errors import ExecutableError

MAGIC = b"\xff Go buildinf:"
_ALIGN = 16
_HEADER = 32
_INLINE = 2
_MAX_STRING = 1 << 24
_SERIES = re.compile(r"go(\d+)\.(\d+)")


class BuildInfo(Struct, frozen=True):
    """``go_version`` as the toolchain names itself, experiments included (``go1.24.11 X:noswissmap``).

    ``path`` is the main package's import path, ``main`` the main module's ("path version"), ``settings`` the build
    settings (``-ldflags``, ``GOARCH``, ``vcs.revision`` …), ``dependencies`` the other modules' "path version".
    """

    go_version: str
    path: str = ""
    main: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()

    @property
    def series(self) -> tuple[int, int]:
        """(1, 24) for every 1.24 release; (0, 0) when the version cannot be understood."""
        return go_series(self.go_version)

    @property
    def experiments(self) -> frozenset[str]:
        """Names after ``X:`` in the version and in the setting GOEXPERIMENT."""
        return go_experiments(self.go_version) | frozenset(
            name for name in self.settings.get("GOEXPERIMENT", "").split(",") if name
        )


def go_series(version: str) -> tuple[int, int]:
    """Major and minor of a Go version as runtime.Version prints it (also ``devel go1.28-…``).

    (0, 0) if there is none.
    """
    found = _SERIES.search(version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def go_experiments(version: str) -> frozenset[str]:
    """The experiments that a version names: ``go1.24.11 X:noswissmap``, from 1.27 on ``go1.27.3-X:…``."""
    _, mark, names = version.partition("X:")
    return frozenset(name for name in names.split(",") if name) if mark else frozenset()


def read_build_info(image: Image) -> BuildInfo:
    """The build information of an executable; ExecutableError when it has none (no Go program) or is of Go < 1.18."""
    path = image.elf.path
    for address in _candidates(image):
        header = image.read(address, _HEADER)
        if header is None:
            continue
        if not header[15] & _INLINE:
            raise ExecutableError(
                f"{path} was built with Go 1.17 or older", "mapscope reads programs of Go 1.19 and later"
            )
        version, after = _string(image, address + _HEADER)
        if not _SERIES.search(version):
            continue
        modules, _ = _string(image, after)
        return _parse(version, modules)
    raise ExecutableError(f"{path} is not a Go program", "give the executable of the Go process")


def _candidates(image: Image) -> Iterator[int]:
    """Addresses of the magic: the section that has it by name first, then data segments, then read-only ones."""
    section = image.section(".go.buildinfo")
    if section is not None:
        yield from find_aligned(section[1], section[0], MAGIC, _ALIGN)
    for flags in (2, 4):
        yield from image.find(MAGIC, flags=flags, align=_ALIGN)


def _string(image: Image, address: int) -> tuple[str, int]:
    """The string at ``address`` with a varint length before it, and the address after it; empty when not readable."""
    size = shift = 0
    while shift < 35:
        byte = image.read(address, 1)
        if byte is None:
            return "", address
        address += 1
        size |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            break
    data = image.read(address, size) if size <= _MAX_STRING else None
    return ("", address) if data is None else (data.decode("utf-8", "replace"), address + size)


def _parse(version: str, modules: str) -> BuildInfo:
    """runtime/debug/mod.go ParseBuildInfo: tab separated lines ``path``, ``mod``, ``dep``, ``=>``, ``build``."""
    if len(modules) >= 33 and modules[-17] == "\n":
        modules = modules[16:-16]
    path = main = ""
    settings: dict[str, str] = {}
    dependencies: list[str] = []
    for line in modules.splitlines():
        key, _, rest = line.partition("\t")
        if key == "path":
            path = rest
        elif key == "mod":
            main = " ".join(rest.split("\t")[:2])
        elif key == "dep":
            dependencies.append(" ".join(rest.split("\t")[:2]))
        elif key == "build":
            name, _, value = rest.partition("=")
            settings[_unquoted(name)] = _unquoted(value)
    return BuildInfo(version, path, main, settings, tuple(dependencies))


def _unquoted(text: str) -> str:
    """A value as it was: quoted by strconv.Quote or with backquotes where it holds spaces or quotes."""
    if len(text) >= 2 and text[0] == text[-1] == "`":
        return text[1:-1]
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return text
