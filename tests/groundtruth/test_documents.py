"""What every command writes as JSON on real evidence is what the published schema says, judged by jsonschema."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mapscope.cli.main import main
from mapscope.opening import open_snapshot
from tests.groundtruth import harness
from tests.groundtruth.leaky import Leaky, leaky
from tests.groundtruth.test_profiles import take
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(300), pytest.mark.xdist_group("leaky")]
__all__ = ["leaky", "take"]

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "reference" / "schema.json"


@functools.lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    """The published schema, in which a field that it does not name is an error."""
    whole: dict[str, Any] = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(whole)
    strict = copy.deepcopy(whole)
    for one in strict["$defs"].values():
        if "properties" in one:
            one["additionalProperties"] = False
    return strict


def judged(document: Any, name: str, many: bool = False) -> Any:
    """The document, which is a ``name``, or a list of them."""
    whole = schema()
    reference = {"$ref": f"#/$defs/{name}"}
    wanted = {"type": "array", "items": reference, "minItems": 1} if many else reference
    assert (reference if not many else {"type": "array", "items": reference}) in whole["anyOf"]
    judge = jsonschema.Draft202012Validator({"$defs": whole["$defs"], **wanted})
    assert [f"{error.json_path}: {error.message[:200]}" for error in judge.iter_errors(document)] == []
    return document


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs a command with ``-f json`` in this process, on evidence that is opened once."""
    opened = functools.lru_cache(maxsize=2)(open_snapshot)
    monkeypatch.setattr("mapscope.opening.open_snapshot", lambda core, executable, **_: opened(core, executable))

    def run(*arguments: str) -> Any:
        assert main([*arguments, "-f", "json"]) in (0, 1), capfd.readouterr().err
        return json.loads(capfd.readouterr().out)

    return run


def test_documents_of_snapshots(
    leaky: Leaky, said: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
):  # fmt: skip
    monkeypatch.chdir(leaky.core.parent)
    whole = judged(said("analyze", "core", "leaky"), "Document")
    address = whole["findings"][0]["subject"]
    documents = {
        "analyze": whole,
        "maps": judged(said("maps", "core", "leaky"), "MapsDocument"),
        "map": judged(said("map", "core", address, "-e", "leaky"), "MapDocument"),
        "chain": judged(said("chain", "core", address, "-e", "leaky", "--all"), "ChainDocument"),
        "dominators": judged(said("dominators", "core", "leaky"), "DominatorsDocument"),
        "goroutines": judged(said("goroutines", "core", "leaky"), "GoroutinesDocument"),
        "iterators": judged(said("iterators", "core", "leaky"), "IteratorsDocument"),
        "diff": judged(said("diff", "core", "later", "-e", "leaky"), "DiffDocument"),
        "query": judged(said("query", "core", "from findings", "-e", "leaky"), "QueryDocument"),
    }
    commands = {
        "map": ("map", "core", address, "-e", "leaky"),
        "chain": ("chain", "core", address, "-e", "leaky", "--all"),
        "diff": ("diff", "core", "later", "-e", "leaky"),
        "query": ("query", "core", "from findings", "-e", "leaky"),
    }
    for kind, document in documents.items():
        assert document["kind"] == kind
        kept = tmp_path / f"{kind}.json"
        kept.write_text(json.dumps(document), encoding="utf-8")
        assert main(["report", str(kept), "--top", "20"]) == 0
        again = capfd.readouterr().out
        assert main(list(commands.get(kind, (kind, "core", "leaky")))) in (0, 1)
        told = capfd.readouterr().out
        assert told.startswith(again.rstrip("\n"))  # the command adds what to run next
        assert told == again or "\nNEXT\n" in told[len(again.rstrip("\n")) :]


def test_documents_of_profiles(take: Any, said: Callable[..., Any]):
    taken = take(Variant("1.23"), "standing-rising")
    heaps = [str(taken.folder / f"heap-{number}.pb.gz") for number in (1, 2, 3)]
    routines = str(taken.folder / "goroutine2.txt")
    program = str(taken.executable)
    assert judged(said("profile", *heaps, routines, "-e", program), "ProfileDocument")["kind"] == "profile"
    moved = judged(said("profile", "diff", heaps[0], heaps[2], "-e", program), "ProfileDiffDocument")
    assert moved["kind"] == "profile diff"


def test_documents_of_the_lab(said: Callable[..., Any]):
    judged(said("lab", "scenarios"), "LabScenario", many=True)
    assert len(judged(said("lab", "claims"), "LabClaim", many=True)) == 96
    judged(said("lab", "toolchains", "list"), "LabToolchain", many=True)
    judged(said("lab", "run", "struct_field", "--go", "1.23"), "LabRun", many=True)
    judged(said("lab", "verify", "--go", "1.23", "--claim", "20"), "LabJudgement", many=True)
    judged(said("lab", "asm", str(harness.build("iterators", Variant("1.23")))), "LabListing")


def test_the_judge_finds_faults():
    with pytest.raises(AssertionError, match="nobody"):
        judged([{"version": "1", "goroot": None, "nobody": 1}], "LabToolchain", many=True)
    with pytest.raises(AssertionError, match="goroot"):
        judged([{"version": "1"}], "LabToolchain", many=True)
