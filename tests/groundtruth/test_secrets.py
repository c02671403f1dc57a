"""Nothing that mapscope prints holds contents of the heap, unless it was told to show them.

A program has one marker in every place that it can think of; every command is asked in every format, about whole, cut
and damaged evidence, and no piece of the marker may come out.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mapscope import cache
from mapscope.cli import main as entry
from mapscope.cli.main import main
from mapscope.evidence.memory import Memory
from mapscope.opening import open_snapshot
from mapscope.tables import NAMES
from tests.groundtruth.secrets import Planted, planted
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

VARIANTS = [Variant("1.22", evidence="kernel"), Variant("1.26"), Variant("1.27", "stripped")]
MAPS = ("strings", "flat", "structs", "faces", "large", "small")


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def core(request: pytest.FixtureRequest) -> Iterator[Planted]:
    """A core with markers, for all tests of this module."""
    with planted(request.param) as one:
        yield one


class Listener:
    """Runs commands and looks at all that they say."""

    def __init__(self, core: Planted, capfdbinary: Any, folder: Path) -> None:
        self.core, self.captured, self.folder = core, capfdbinary, folder

    def run(self, *words: str, status: tuple[int, ...] = (0, 1)) -> bytes:
        """What the command says on both streams; it must end with ``status`` and hold no piece of a marker."""
        got = main(list(words))
        said = b"".join(self.captured.readouterr())
        assert got in status, (words, got, said[-2000:])
        self.judge(said, words)
        return said

    def judge(self, said: bytes, about: Any) -> None:
        """No piece of the marker, neither as it is nor as numbers or escapes would write it."""
        word = self.core.marker.encode()
        forms = [*self.core.pieces]
        for at in range(len(word)):
            turned = word[at:] + word[:at]
            number = int.from_bytes(turned, "little")
            forms += [str(number).encode(), f"{number:x}".encode(), turned.hex().encode(), f"{number:,}".encode()]
        for form in forms:
            at = said.find(form)
            assert at < 0, (about, said[max(at - 200, 0) : at + 200])


@pytest.fixture
def listener(core: Planted, capfdbinary: Any, tmp_path: Path) -> Listener:
    return Listener(core, capfdbinary, tmp_path)


def maps_of(core: Planted) -> dict[str, str]:
    """Addresses of the headers of the program's own maps."""
    return {one["name"]: f"0x{one['address']:x}" for one in core.truth["maps"]}


def test_no_command_shows_contents(core: Planted, listener: Listener) -> None:
    """Every command in every format, on stdout and in files."""
    path, exe = str(core.core), str(core.executable)
    for form in ("text", "json"):
        for command in ("analyze", "maps", "dominators", "iterators", "goroutines"):
            assert listener.run(command, path, exe, "-f", form)
        for address in maps_of(core).values():
            assert listener.run("map", path, address, "-e", exe, "-f", form)
        assert listener.run("chain", path, maps_of(core)["strings"], "-e", exe, "-f", form, "--all")
        assert listener.run("diff", path, path, "-e", exe, "-f", form)
    listener.run("maps", path, exe, "-f", "csv")
    listener.run("analyze", path, exe, "-o", str(listener.folder / "report.json"), "-f", "json")
    listener.judge((listener.folder / "report.json").read_bytes(), "report.json")


@pytest.mark.parametrize("form", ["text", "json", "csv"])
def test_no_table_shows_contents(core: Planted, listener: Listener, form: str) -> None:
    for name in NAMES:
        said = listener.run(
            "query", str(core.core), f"select * from {name} limit 3000", "-e", str(core.executable), "-f", form
        )
        assert said, name


def test_no_error_shows_contents(core: Planted, listener: Listener) -> None:
    """Wrong addresses, statements, executables and files."""
    path, exe = str(core.core), str(core.executable)
    refused = (2,)
    for name, at in core.truth.items():
        if name.startswith("at "):
            listener.run("map", path, hex(at), "-e", exe, status=refused)
            listener.run("chain", path, hex(at), "-e", exe, status=(0, 2))
    for statement in (
        "select",
        "select nothing from maps",
        "select * from nowhere",
        "select cast(type as int) from maps",
        "select 1/0, type from maps",
        "copy maps to 'x'",
    ):
        listener.run("query", path, statement, "-e", exe, status=(0, 2))
    listener.run("analyze", path, path, status=refused)
    listener.run("analyze", exe, status=refused)
    listener.run("redact", path, path, exe, status=refused)
    listener.run("analyze", path, "/bin/true", status=refused)


def test_damaged_evidence_shows_no_contents(core: Planted, listener: Listener) -> None:
    """Cut short, and with words of other places in the place of words: whatever happens, nothing comes out."""
    exe = str(core.executable)
    size = core.core.stat().st_size
    rng = random.Random(4)
    broken = listener.folder / "broken"
    for part in (0.1, 0.6, 0.98):
        shutil.copyfile(core.core, broken)
        with broken.open("r+b") as stream:
            stream.truncate(int(size * part))
        listener.run("analyze", str(broken), exe, status=(0, 1, 2))
    snapshot = open_snapshot(core.core, core.executable)
    placed = [s for s in snapshot._process.core.elf.segments if s.filesz]
    headers = [int(at) for at in snapshot.maps.columns["address"].tolist()[:400]]
    secret = (core.marker * 4).encode()
    for number in range(4):
        shutil.copyfile(core.core, broken)
        with broken.open("r+b") as stream:
            for address in rng.choices(headers, k=30):
                segment = next((s for s in placed if s.vaddr <= address < s.vaddr + s.filesz), None)
                if segment is not None:
                    stream.seek(segment.offset + address - segment.vaddr + 8 * rng.randrange(6))
                    stream.write(rng.choice((secret[:8], bytes([rng.randrange(256)]))))
        # a header that was written over is shown as it is: its numbers are what the evidence says
        got = main(["goroutines" if number % 2 else "dominators", str(broken), exe])
        assert got in (0, 1, 2), got
        said = b"".join(listener.captured.readouterr())
        listener.judge(said, number)


def test_the_cache_holds_no_contents(core: Planted) -> None:
    """Nor does what is redacted depend on it."""
    made = []
    for keep in (False, True, True):
        out = core.core.with_name(f"out{len(made)}")
        open_snapshot(core.core, core.executable, keep=keep).redact(out)
        made.append(out.read_bytes())
        out.unlink()
    kept = cache.path_of(core.core)
    assert not core.found_in(kept.read_bytes())
    kept.unlink()
    assert made[0] == made[1] == made[2]


def test_a_bug_shows_no_contents(core: Planted, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody expected may carry anything in its words: these are not shown, not even in a traceback."""
    held = (core.marker * 2).encode()

    def broken(self: Memory, address: int, count: int) -> None:
        raise KeyError(held)

    for asked in ("", "1"):
        monkeypatch.setenv("MAPSCOPE_DEBUG", asked)
        with monkeypatch.context() as patch:
            patch.setattr(Memory, "words", broken)
            said = listener.run("analyze", str(core.core), str(core.executable), status=(entry.EXIT_BUG,))
        assert b"this is a bug of ours: KeyError at test_secrets.py" in said
        assert (b"Traceback" in said) == bool(asked)


def test_contents_only_on_demand(core: Planted, capfdbinary: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option shows a few, escaped and cut, and says so on both streams; the environment cannot turn it on."""
    for name in ("SHOW_CONTENTS", "MAPSCOPE_SHOW_CONTENTS", "MAPSCOPE_MAP_SHOW_CONTENTS", "MAP_SHOW_CONTENTS"):
        monkeypatch.setenv(name, "1")
    word = core.marker.encode()
    for name in MAPS:
        words = ["map", str(core.core), maps_of(core)[name], "-e", str(core.executable)]
        assert main(words) == 0
        out, err = capfdbinary.readouterr()
        assert word not in out + err
        assert b"CONTENTS" not in out
        assert main([*words, "--show-contents"]) == 0
        out, err = capfdbinary.readouterr()
        assert b"CONTENTS" in out
        assert b"--show-contents" in err
        assert main([*words, "--show-contents", "-f", "json"]) == 0
        out, err = capfdbinary.readouterr()
        assert b"--show-contents" in err
        contents = json.loads(out)["contents"]
        header = next(one["header"] for one in core.truth["maps"] if one["name"] == name)
        count = header.get("count", header.get("used"))
        assert len(contents) == min(count, 10)
        for pair in contents:
            check_entry(name, core.marker, pair["key"], pair["value"])


def check_entry(name: str, marker: str, key: str, value: str) -> None:
    """What an entry of each map must look like."""
    text = re.compile(rf'"(?:{marker}){{4}}-?\d*"')
    if name in ("strings", "small"):
        assert text.fullmatch(key)
        assert text.fullmatch(value) if name == "strings" else value == "main.array, 32 bytes"
    elif name == "flat":
        assert (key, value) == ("main.array, 32 bytes", "main.array, 32 bytes")
    elif name == "structs":
        assert 0 <= int(key) < 300
        assert value.startswith("main.mixed, ")
    elif name == "faces":
        assert text.fullmatch(key) or key == "main.array, 32 bytes"
        assert value == "main.array, 32 bytes" or value.startswith("[]uint8 at 0x")
    else:
        assert key == value == "main.wide, 160 bytes"


def test_a_redacted_core_has_no_contents_to_show(core: Planted, capfdbinary: Any) -> None:
    with tempfile.TemporaryDirectory(prefix="redacted-") as name:
        out = Path(name) / "out"
        open_snapshot(core.core, core.executable).redact(out)
        words = ["map", str(out), maps_of(core)["strings"], "-e", str(core.executable), "--show-contents"]
        assert main(words) == 0
        said = b"".join(capfdbinary.readouterr())
        assert not core.found_in(said)
        assert b"the core is redacted: contents read as zeros" in said
        assert b"\\x00" in said
