"""The listing of ``mapscope lab asm`` against ``go tool objdump`` and the sources of the same toolchain."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from mapscope.cli.main import main
from mapscope.lab.toolchains import Toolchain
from tests.groundtruth import harness
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(300)]

CLASSIC = [Variant(series, arch=arch) for series in ("1.19", "1.21", "1.22", "1.23") for arch in ("", "arm64")]
CLASSIC += [Variant("1.24", experiment="noswissmap")]
SWISS = [Variant(series, arch=arch) for series in ("1.24", "1.26", "1.27") for arch in ("", "arm64")]
PROGRAM = "maptypes"
LINE = re.compile(r"\s+(\S+):(\d+)\s+0x([0-9a-f]+)\s+[0-9a-f]+\s+(.*?)\s*$")
AT = re.compile(r"(?<![\w-])(?:0x18|24)\((\w+)\)|\b(?:LDP|STP)\b.*(?<!\w)16\((\w+)\)")
"""An operand at offset 0x18, or a pair of words from 16 on, in the Go assembler's words."""
NOT_HEADERS = {"SP", "RSP", "PC", "R11", "R25"}
"""The stack, jumps, and the buffer of the write barrier (cmd/compile/internal/ssa/writebarrier.go)."""
ADD = "return unsafe.Pointer(uintptr(p) + x)"
"""runtime.add, into which a load of oldbuckets may be folded where it is inlined (runtime/stubs.go)."""


def listing(variant: Variant, capfd: pytest.CaptureFixture[str]) -> dict:
    executable = harness.build(PROGRAM, variant)
    assert main(["lab", "asm", str(executable), "-f", "json"]) == 0
    return json.loads(capfd.readouterr().out)


def disassembled(go: Toolchain, executable: Path, functions: list[str]) -> dict[int, tuple[str, str, str]]:
    """address → (function, instruction, the line of the source) of the instructions at offset 0x18."""
    pattern = "^(" + "|".join(re.escape(name) for name in functions) + ")$"
    done = subprocess.run(
        [go.go, "tool", "objdump", "-s", pattern, executable],
        env=go.environment(), capture_output=True, text=True, check=True, timeout=240,
    )  # fmt: skip
    sources: dict[str, list[str]] = {}
    found, function = {}, ""
    for line in done.stdout.splitlines():
        if line.startswith("TEXT "):
            function = line.split()[1].removesuffix("(SB)")
            continue
        parts = LINE.match(line)
        if parts is None or not (operand := AT.search(parts[4])) or parts[4].startswith(("LEA", "NOP")):
            continue
        if (operand[1] or operand[2]) in NOT_HEADERS:
            continue
        if parts[1] not in sources:
            path = go.goroot / "src" / "runtime" / parts[1]
            sources[parts[1]] = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        lines, number = sources[parts[1]], int(parts[2])
        found[int(parts[3], 16)] = function, parts[4], lines[number - 1].strip() if number <= len(lines) else ""
    return found


@pytest.mark.parametrize("variant", CLASSIC, ids=str)
def test_every_instruction_on_oldbuckets_is_listed_and_no_other(variant: Variant, capfd: pytest.CaptureFixture[str]):
    said = listing(variant, capfd)
    assert (said["structure"], said["field"]) == ("hmap", "oldbuckets")
    assert said["offset"] == 0x18
    go = harness.toolchain(variant.series)
    theirs = disassembled(go, harness.build(PROGRAM, variant), said["functions"])
    named = {address for address, (_, _, line) in theirs.items() if "oldbuckets" in line}
    assert len(named) > 15
    ours = {int(one["address"], 16): one for one in said["accesses"]}
    assert not named - set(ours), {hex(address): theirs[address] for address in named - set(ours)}
    for address in set(ours) - named:  # an instruction of an inlined add
        assert theirs[address][2] == ADD, (ours[address], theirs[address])
        assert ours[address]["kind"] == "load"
    assert {theirs[address][0] for address in ours} >= {"runtime.hashGrow", "runtime.evacuate", "runtime.mapiternext"}


@pytest.mark.parametrize("variant", CLASSIC, ids=str)
def test_every_store_of_oldbuckets_is_behind_a_write_barrier(variant: Variant, capfd: pytest.CaptureFixture[str]):
    said = listing(variant, capfd)
    stores = {one["function"]: one for one in said["accesses"] if one["kind"] == "store"}
    assert {"runtime.hashGrow", "runtime.advanceEvacuationMark"} <= set(stores)
    go = harness.toolchain(variant.series)
    executable = harness.build(PROGRAM, variant)
    for name, one in stores.items():
        assert one["barrier"].startswith(("runtime.gcWriteBarrier", "gcWriteBarrier"))
        pattern = f"^{re.escape(name)}$"
        dump = subprocess.run(
            [go.go, "tool", "objdump", "-s", pattern, executable],
            env=go.environment(), capture_output=True, text=True, check=True, timeout=240,
        ).stdout  # fmt: skip
        rows = [found for line in dump.splitlines() if (found := LINE.match(line))]
        before = [row for row in rows if int(row[3], 16) <= int(one["flag_at"], 16)]
        assert int(before[-1][3], 16) == int(one["flag_at"], 16)
        assert any("writeBarrier" in row[4] or "MOVWU" in row[4] for row in before[-4:]), before[-4:]
        assert one["barrier"].removeprefix("runtime.") in dump


@pytest.mark.parametrize("variant", SWISS, ids=str)
def test_a_swiss_program_has_no_oldbuckets_and_the_listing_says_so(variant: Variant, capfd: pytest.CaptureFixture[str]):
    said = listing(variant, capfd)
    assert (said["structure"], said["field"], said["offset"]) == ("maps.Map", "dirPtr", 0x10)
    assert "no oldbuckets" in said["note"]
    stores = {one["function"].rpartition(".")[2]: one for one in said["accesses"] if one["kind"] == "store"}
    assert {"growToSmall", "growToTable"} <= set(stores)
    assert all(one["barrier"] for one in stores.values())


def test_an_executable_without_map_functions_and_one_that_is_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "file").write_bytes(b"no program")
    assert main(["lab", "asm", str(tmp_path / "file")]) == 2
    assert len(capfd.readouterr().err.splitlines()) == 2
