"""Alert rules, the dashboard and the Containerfile: by the tools of their makers, and every metric in them exists."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from mapscope.fleet.metrics import HISTOGRAM, METRICS
from mapscope.lab.toolchains import cache_folder
from tests.groundtruth.harness import absent

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
NAME = re.compile(r"\bmapscope_[a-z0-9_]+")


def known() -> set[str]:
    """Names of all series."""
    found = set()
    for one in METRICS:
        ends = ("_bucket", "_sum", "_count") if one.kind == HISTOGRAM else ("",)
        found |= {f"mapscope_{one.name}{end}" for end in ends}
    return found


def expressions() -> dict[str, str]:
    """Every expression of rules and dashboard, by where it is."""
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
    found = {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}
    board = json.loads((DEPLOY / "grafana" / "mapscope.json").read_text())
    for panel in board["panels"]:
        found |= {f"{panel['title']} {one['refId']}": one["expr"] for one in panel["targets"]}
    return found


def test_every_metric_exists():
    named = {name for expression in expressions().values() for name in NAME.findall(expression)}
    assert len(named) > 15
    assert named <= known()


def test_metrics_are_named_by_the_conventions():
    """https://prometheus.io/docs/practices/naming: base units, ``_total`` for counters and for nothing else."""
    for one in METRICS:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", one.name)
        assert one.name.endswith("_total") == (one.kind == "counter"), one.name
        assert not re.search(r"_(ms|milliseconds|kb|mb|percent|minutes|hours)(_|$)", one.name)
        assert one.help.endswith(".")
        assert set(one.labels) <= {
            "service",
            "target",
            "indicator",
            "job",
            "profile",
            "outcome",
            "kind",
            "reason",
            "version",
        }


def promtool() -> str:
    """Of Debian's package prometheus: installed, or unpacked by ``make system``."""
    found = shutil.which("promtool") or str(cache_folder() / "promtool" / "promtool")
    if not Path(found).exists():
        absent("no promtool: make system fetches it")
    return found


def test_rules_by_promtool():
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]):
        done = subprocess.run(
            [promtool(), *command], cwd=DEPLOY / "prometheus", capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "SUCCESS" in done.stdout + done.stderr


def test_the_dashboard():
    board = json.loads((DEPLOY / "grafana" / "mapscope.json").read_text())
    panels = board["panels"]
    assert [one["id"] for one in panels] == list(range(1, len(panels) + 1))
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not mine & cells, panel["title"]
        cells |= mine
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"  # of whoever imports it
    assert {one["name"] for one in board["templating"]["list"]} == {"datasource", "service"}


def test_the_containerfile_by_hadolint():
    tool = Path(sys.executable).with_name("hadolint")
    if not tool.exists():
        absent("no hadolint: its wheel is for Linux x86-64", platform.machine() == "x86_64")
    done = subprocess.run([tool, DEPLOY / "Containerfile"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_the_image_takes_is_what_a_build_needs():
    text = (DEPLOY / "Containerfile").read_text()
    copied = {word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for word in line.split()}
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ignored[0] == "*"
    assert {f"!{word}" for word in copied} <= set(ignored)
    assert all((ROOT / word).exists() for word in copied)
    assert re.search(r"^USER 65532:65532$", text, re.MULTILINE)
    assert text.index("USER") > text.rindex("FROM")
