"""Reads pytest's JUnit file, prints the counts, and fails on a skipped test that is not listed with a reason."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from fnmatch import fnmatchcase
from pathlib import Path


def allowed_skips(listing: Path) -> dict[str, str]:
    """Pattern → reason, of the lines ``pattern | reason``."""
    allowed = {}
    for line in listing.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        pattern, bar, reason = line.partition("|")
        if not bar or not reason.strip():
            raise SystemExit(f"{listing}: no reason given for {line.strip()!r}")
        allowed[pattern.strip()] = reason.strip()
    return allowed


def main(report: Path, listing: Path) -> int:
    """Exit status: 0 when every test ran, or was skipped for a listed reason."""
    if not report.is_file():
        sys.stderr.write(f"{report}: no such file: pytest did not get as far as writing its report\n")
        return 1
    counts = {"passed": 0, "failed": 0, "errors": 0, "skipped": 0, "xfailed": 0}
    skips: list[tuple[str, str]] = []
    names: list[str] = []
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314  (pytest wrote it a moment ago)
        name = f"{case.get('classname')}::{case.get('name')}"
        names.append(name)
        skipped = case.find("skipped")
        if case.find("failure") is not None:
            counts["failed"] += 1
        elif case.find("error") is not None:
            counts["errors"] += 1
        elif skipped is None:
            counts["passed"] += 1
        elif skipped.get("type") == "pytest.xfail":
            counts["xfailed"] += 1
        else:
            counts["skipped"] += 1
            skips.append((name, skipped.get("message") or ""))
    sys.stdout.write("pytest: " + ", ".join(f"{count} {what}" for what, count in counts.items()) + "\n")
    allowed = allowed_skips(listing)
    bad = [(name, why) for name, why in skips if not any(fnmatchcase(name, pattern) for pattern in allowed)]
    for name, why in bad:
        sys.stderr.write(f"skipped in CI without a listed reason: {name}: {why}\n")
    stale = [pattern for pattern in allowed if not any(fnmatchcase(name, pattern) for name in names)]
    for pattern in stale:
        sys.stderr.write(f"{listing}: {pattern} names no test\n")
    ok = not bad and not stale and counts["failed"] + counts["errors"] == 0 and counts["passed"] > 0
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
