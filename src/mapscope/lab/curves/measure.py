"""Curves of real maps: a Go program is built with a release, fills maps, and tells what they keep."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapscope.errors import UsageError
from mapscope.lab.model.maptype import MapType
from mapscope.lab.scenario import SHARED
from mapscope.lab.toolchains import ToolchainError, install

_PROGRAM = Path(__file__).parent / "program"
_SECONDS = 600
_MODULE = "module curve\n\ngo 1.19\n"
_BASIC = r"u?int(?:8|16|32|64)?|uintptr|byte|bool|string|float(?:32|64)|struct\{\}"
_MAP = re.compile(rf"map\[({_BASIC}|\[\d{{1,4}}\]byte)\]((?:\*|\[\]|\[\d{{1,4}}\])?(?:{_BASIC}))")
_KEYS = {
    "string": 'func key(i int) K { return "key-" + strconv.Itoa(i) }',
    "[]byte": (
        "func key(i int) (k K) {\n\tfor b := 0; b < 8 && b < len(k); b++ {\n\t\tk[b] = byte(i >> (8 * b))\n\t}\n"
        "\treturn\n}"
    ),
    "float": "func key(i int) K { return K(i) }",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """A map type as text, its parts, and what a model must know of it. Raises UsageError for what is no such type."""

    text: str
    key: str
    elem: str

    @classmethod
    def parse(cls, text: str) -> Shape:
        """``map[K]V``: K a number, a string or an array of bytes, V one of these, a pointer, a slice or an array."""
        found = _MAP.fullmatch(text.replace(" ", ""))
        if found is None or found[1] in ("bool", "struct{}", "int8", "uint8", "byte"):
            raise UsageError(
                f"{text!r} is no map type that the lab fills",
                "keys: numbers of 16 bits or more, string, [N]byte; values: these, bool, struct{}, *T, []T, [N]T",
            )
        return cls(text, found[1], found[2])

    @property
    def pointers(self) -> tuple[bool, bool]:
        """Whether key and value hold pointers."""
        held = [one == "string" or one[:1] == "*" or one[:2] == "[]" or one.endswith("]string") for one in self.parts]
        return held[0], held[1]

    @property
    def parts(self) -> tuple[str, str]:
        """Key and value."""
        return self.key, self.elem

    def source(self) -> str:
        """The Go file with the types and the function of keys."""
        kind = "string" if self.key == "string" else "[]byte" if self.key.startswith("[") else "float"
        lines = ["package main", ""]
        if kind == "string":
            lines += ['import "strconv"', ""]
        lines += [
            f"type K = {self.key}",
            f"type V = {self.elem}",
            "",
            _KEYS[kind].replace("{{", "{").replace("}}", "}"),
        ]
        return "\n".join(lines) + "\n"

    def model(self, sizes: dict[str, int]) -> MapType:
        """The type for a model, with the sizes that the program tells. UsageError where no model knows them."""
        keys, elems = self.pointers
        odd = self.key.startswith(("float", "[")) or self.key in ("int16", "uint16")
        return MapType(
            sizes["key_size"], sizes["elem_size"], keys, elems, sizes["key_align"], sizes["elem_align"],
            needkeyupdate=self.key.startswith(("float", "string")), fast_key=not odd,
        )  # fmt: skip


def measure(release: str, shape: Shape, *arguments: str | int) -> dict[str, Any]:
    """What the program tells on Go ``release``. ToolchainError where it cannot be built or dies."""
    version, _, experiment = release.partition("+")
    toolchain = install(version)
    with tempfile.TemporaryDirectory(prefix="mapscope-curve-") as name:
        folder = Path(name)
        for file in (*_PROGRAM.glob("*.go"), SHARED / "threads.go"):
            shutil.copy(file, folder / file.name)
        (folder / "go.mod").write_text(_MODULE, encoding="utf-8")
        (folder / "types.go").write_text(shape.source(), encoding="utf-8")
        program = toolchain.build(folder, folder / "curve", experiment=experiment)
        try:
            done = subprocess.run(
                [program, *map(str, arguments)], capture_output=True, text=True, timeout=_SECONDS, check=False,
                env={**os.environ, "GOMAXPROCS": "1"},  # each thread that comes late is some kilobytes of heap
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise ToolchainError(f"the program on Go {release} took more than {_SECONDS} s", "give less --to") from None
    if done.returncode:
        raise ToolchainError(
            f"the program on Go {release} ended with {done.returncode}: {done.stderr.strip()[:300]}", "give less --to"
        )
    return json.loads(done.stdout)  # type: ignore[no-any-return]
