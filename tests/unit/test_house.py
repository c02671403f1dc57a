"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "mapscope"
PYTHON = sorted(SOURCE.rglob("*.py"))
ALL = sorted([*PYTHON, *SOURCE.rglob("*.pyx"), *SOURCE.rglob("*.pyi")])
MAX_LINES = 450
MAY_PRINT = {"cli", "lab", "web", "lint", "fleet", "growth"}
HEAVY = {"numpy", "rich", "msgspec", "elftools", "zstandard", "capstone", "asyncio", "multiprocessing", "ctypes"}
BUILTINS_OF_APPLICATIONS = {"print", "exit", "quit", "input"}
STREAMS = {"stdout", "stderr", "stdin", "exit"}


def room(path: Path) -> str:
    """First folder (or file) under src/mapscope."""
    return path.relative_to(SOURCE).parts[0]


def label(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def test_there_is_source_to_judge():
    assert len(PYTHON) > 20


@pytest.mark.parametrize("path", ALL, ids=label)
def test_a_file_holds_one_idea(path: Path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{lines} lines: split it by ideas"


@pytest.mark.parametrize("path", [path for path in PYTHON if room(path) not in MAY_PRINT], ids=label)
def test_only_the_top_floor_prints_or_exits(path: Path):
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in BUILTINS_OF_APPLICATIONS:
                found.append(f"{name} in line {node.lineno}")
            case ast.Attribute(value=ast.Name(id="sys"), attr=name) if name in STREAMS:
                found.append(f"sys.{name} in line {node.lineno}")
    assert not found


@pytest.mark.parametrize("path", PYTHON, ids=label)
def test_errors_are_not_swallowed(path: Path):
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            names = [part.id for part in ast.walk(node.type) if isinstance(part, ast.Name)] if node.type else [""]
            broad = any(name in {"", "Exception", "BaseException"} for name in names)
            if broad and not any(isinstance(part, ast.Raise) for part in ast.walk(node)) and room(path) != "cli":
                found.append(f"line {node.lineno}")
    assert not found, "a broad except that does not raise"


def loaded_after(statement: str) -> set[str]:
    """Top-level modules in sys.modules of a new interpreter after ``statement``."""
    code = f"import sys\n{statement}\nprint('\\n'.join(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_import_is_light():
    bare = loaded_after("pass")
    assert not (loaded_after("import mapscope") - bare) & HEAVY


def test_help_is_light():
    if not (SOURCE / "cli" / "main.py").exists():
        pytest.skip("no command line yet")
    bare = loaded_after("pass")
    code = (
        "import io, contextlib\n"
        "sys.argv = ['mapscope', '--help']\n"
        "from mapscope.cli.main import run\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out:\n"
        "    try:\n"
        "        run()\n"
        "    except SystemExit as end:\n"
        "        assert not end.code, end.code\n"
        "assert 'analyze' in out.getvalue()"
    )
    assert not (loaded_after(code) - bare) & HEAVY


def test_nothing_of_one_machine_is_in_the_files():
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    if listed.returncode:
        pytest.skip("not a git checkout")
    words = ("/" + "work/", "/ro" + "ot/", "/ho" + "me/")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if not path.is_file() or path.suffix in {".gz", ".zst"}:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{name}: {word}" for word in words if word in text]
    assert not found
