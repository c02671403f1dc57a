"""Judges SARIF: the schema of the standard, and what GitHub's code scanning asks beyond it.

GitHub's rules: "SARIF support for code scanning", tables of supported properties and limits.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema

_SCHEMA = Path(__file__).parent / "data" / "sarif-2.1.0-rtm.5.json"
_LEVELS = {"note", "warning", "error"}
_PRECISIONS = {"very-high", "high", "medium", "low"}


@lru_cache(maxsize=1)
def _judge() -> jsonschema.Draft4Validator:
    return jsonschema.Draft4Validator(json.loads(_SCHEMA.read_text(encoding="utf-8")))


def problems(log: Any) -> list[str]:
    """Why the log is no SARIF, or would not be shown by code scanning; empty when it would."""
    found = [f"{list(error.path)}: {error.message[:200]}" for error in _judge().iter_errors(log)]
    return found or list(_github(log))


def _github(log: dict[str, Any]) -> list[str]:
    found = []
    for run in log["runs"]:
        rules = run["tool"]["driver"]["rules"]
        for rule in rules:
            for name in ("shortDescription", "fullDescription"):
                if not 0 < len(rule[name]["text"]) <= 1024:
                    found.append(f"{rule['id']}.{name}")
            if not rule["help"]["text"] or not 0 < len(rule["name"]) <= 255:
                found.append(f"{rule['id']}: help or name")
            if rule["properties"]["precision"] not in _PRECISIONS or len(rule["properties"]["tags"]) > 20:
                found.append(f"{rule['id']}: properties")
        if len(run["results"]) > 25_000:
            found.append("more than 25,000 results")
        for number, result in enumerate(run["results"]):
            found += [f"result {number}: {one}" for one in _result(result, rules)]
    return found


def _result(result: dict[str, Any], rules: list[dict[str, Any]]) -> list[str]:
    found = []
    if rules[result["ruleIndex"]]["id"] != result["ruleId"]:
        found.append("ruleIndex is of another rule")
    if not result["message"]["text"] or result["level"] not in _LEVELS:
        found.append("message or level")
    if len(result["locations"]) != 1 or not result["partialFingerprints"]:
        found.append("locations or partialFingerprints")
    flows = [one["location"] for flow in result.get("codeFlows", ()) for one in flow["threadFlows"][0]["locations"]]
    if len(flows) > 10_000:
        found.append("more than 10,000 locations in a flow")
    for location in [*result["locations"], *result.get("relatedLocations", ()), *flows]:
        physical = location["physicalLocation"]
        region, uri = physical["region"], urlsplit(physical["artifactLocation"]["uri"])
        if set(region) != {"startLine", "startColumn", "endLine", "endColumn"} or min(region.values()) < 1:
            found.append(f"region {region}")
        if uri.scheme not in ("", "file") or not uri.path or (uri.path.startswith("/") != (uri.scheme == "file")):
            found.append(f"uri {uri.geturl()}")
        if ".." in uri.path.split("/") and "uriBaseId" in physical["artifactLocation"]:
            found.append(f"uri {uri.geturl()} leaves its root")
    return found
