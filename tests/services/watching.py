"""A running ``mapscope watch`` as tests see it: its log, its metrics, and waiting for a condition on them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

SECONDS = 60.0
SOURCE = Path(__file__).resolve().parents[2] / "src"
Labels = dict[str, str]


@dataclass
class Watching:
    """The process, and what it says."""

    process: subprocess.Popen[bytes]
    log_path: Path

    def log(self) -> list[dict[str, Any]]:
        """Its log so far; every line must be JSON."""
        text = self.log_path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    @property
    def address(self) -> str:
        """Where /metrics is."""
        return str(wait_for(lambda: next((x["address"] for x in self.log() if x["message"] == "watching"), None), self))

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of one request."""
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def samples(self) -> dict[str, list[tuple[Labels, float]]]:
        """Everything under /metrics by name."""
        found: dict[str, list[tuple[Labels, float]]] = {}
        for family in text_string_to_metric_families(self.get("/metrics")[1]):
            for one in family.samples:
                found.setdefault(one.name, []).append((one.labels, one.value))
        return found

    def value(self, name: str, **labels: str) -> float | None:
        """The value of one series; None: it is not there."""
        found = [of for has, of in self.samples().get(name, []) if labels.items() <= has.items()]
        assert len(found) <= 1, f"{len(found)} series of {name} with {labels}"
        return found[0] if found else None

    def until(self, wanted: Callable[[], Any]) -> Any:
        """Waits for a condition; its value."""
        return wait_for(wanted, self)

    def terminate(self) -> tuple[int, float]:
        """SIGTERM: the exit status, and the seconds that it took."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS), time.monotonic() - begin


def wait_for(wanted: Callable[[], Any], watching: Watching | None = None, seconds: float = SECONDS) -> Any:
    """Asks again and again until the answer is something."""
    deadline = time.monotonic() + seconds
    while not (found := wanted()):
        if watching is not None and watching.process.poll() is not None:
            raise AssertionError(f"the watch ended: {watching.log_path.read_text(encoding='utf-8')[-3000:]}")
        log = watching.log_path.read_text(encoding="utf-8")[-3000:] if watching is not None else ""
        assert time.monotonic() < deadline, f"not within {seconds:g} s; {log}"
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def watching(config: Path, *arguments: str, environment: dict[str, str] | None = None) -> Iterator[Watching]:
    """``mapscope watch CONFIG``; it is killed at the end if it still runs."""
    log = config.with_suffix(".log")
    command = [sys.executable, "-W", "error", "-m", "mapscope", "watch", str(config), *arguments]
    with open(log, "wb") as stream:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=stream,
            env={**os.environ, "PYTHONPATH": str(SOURCE), **(environment or {})},
        )  # fmt: skip
    try:
        yield Watching(process, log)
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def fakes(profile: Path, kinds: Sequence[str]) -> Iterator[list[str]]:
    """Addresses of fake services, one for each kind."""
    program = Path(__file__).with_name("fakes.py")
    process = subprocess.Popen(
        [sys.executable, str(program), str(profile), *kinds], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()
