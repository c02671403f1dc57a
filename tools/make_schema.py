"""Writes docs/reference/schema.json, the JSON schema of the documents. Run: ``python tools/make_schema.py``."""

from __future__ import annotations

import json
from pathlib import Path

from mapscope.report.schema import json_schema

TARGET = Path(__file__).resolve().parent.parent / "docs" / "reference" / "schema.json"


def render() -> str:
    """The text of the file."""
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(render(), encoding="utf-8")
