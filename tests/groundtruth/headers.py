"""What a program says of its maps beside what a snapshot says."""

from __future__ import annotations

from typing import Any

from mapscope.maps.model import Confidence
from mapscope.snapshot import Snapshot
from tests.groundtruth import unseen
from tests.groundtruth.variants import Variant


def differences(snapshot: Snapshot, truth: dict[str, Any], variant: Variant) -> list[str]:
    """Every map that is missing, every field of a header that differs and every wrong type.

    One that no typed word reaches can be without a type, as in test_maps.py.
    """
    wrong = []
    for true in truth["maps"]:
        found = snapshot.maps.at(true["address"])
        if found is None:
            wrong.append(f"{true['name']}: not found")
            continue
        for name, value in true["header"].items():
            if name == "_" or (name == "tombstonePossible" and variant.series == "1.24"):
                continue  # 1.24 has padding there
            said = getattr(found, "count" if name == "used" else name)
            if said != value:
                wrong.append(f"{true['name']}: {name} is {value}, said {said}")
        untyped = variant.stripped or true["reach"] in unseen.UNTYPED
        if found.type_name is None and untyped and found.confidence != Confidence.EXACT:
            continue
        if found.type_name != true["type"]:
            wrong.append(f"{true['name']}: {true['type']}, said {found.type_name}")
    return wrong
