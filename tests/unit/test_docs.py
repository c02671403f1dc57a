"""The documentation says what the code does, where that can be checked."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from msgspec.structs import fields

from mapscope.cli.main import cli
from mapscope.findings import RULES
from mapscope.findings.thresholds import DEFAULT
from mapscope.profiles.settings import DEFAULT as PROFILES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "examples").rglob("*.md")])


def section(page: str, title: str) -> str:
    """The text under a heading of the second rank."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"no section {title}"
    return found.group(1)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.RULE)
def test_every_rule_is_in_the_catalogue(rule):
    page = (DOCS / "reference" / "findings.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| [{rule.RULE}]"))
    assert rule.TITLE in row
    text = section(page, rule.RULE)
    for word in ("**Condition.**", "**Bytes.**", "**Advice.**"):
        assert word in text


def test_thresholds_are_those_in_force():
    page = (DOCS / "reference" / "findings.md").read_text(encoding="utf-8")
    named = dict(re.findall(r"`(\w+)` \(([\d.]+)", page))
    known = {field.name for field in fields(DEFAULT)}
    assert len(set(named) & known) >= 8
    for name in set(named) & known:
        assert float(named[name]) == getattr(DEFAULT, name), name


def test_settings_of_profiles_are_those_in_force():
    page = (DOCS / "reference" / "indicators.md").read_text(encoding="utf-8")
    named = dict(re.findall(r"`(\w+)`(?:,| \() ?([\d.]+)", page))
    for field in fields(PROFILES):
        if field.name != "article_depth":
            assert float(named[field.name]) == getattr(PROFILES, field.name), field.name
    assert f"of at most {PROFILES.article_depth} (`article_depth`)" in page


@pytest.mark.parametrize(
    "name",
    ["analyze", "diff", "history", "map", "maps", "serve", *(f"profile{end}" for end in ("", " diff", " watch"))],
)
def test_options_exist(name: str):
    first, *rest = name.split()
    command = cli.get_command(click.Context(cli), first)
    assert command is not None
    if rest:
        command = command.make_context(first, [*rest, "one", "two"][: 3 if rest == ["diff"] else 2]).command
    offered = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    page = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    cells = [line.split(" | ") for line in page.splitlines() if line.startswith("| `-")]
    mine = {name, "all"} if name == "serve" else {name, "all", "all but serve"}
    rows = [options for options, commands, *_ in cells if mine & set(commands.split(", "))]
    documented = {option for row in rows for option in re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", row)}
    assert documented
    assert documented <= offered
    missing = {option for option in offered if option.startswith("--")} - documented
    assert missing <= {"--help", "--output", "--force", "--executable"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), target
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert re.search(rf"^#+ {anchor}$", text, re.MULTILINE | re.IGNORECASE), anchor
