"""After a start the window of a target begins with what the store has of it, so that a restart hides no growth."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from mapscope.errors import MapscopeError
from mapscope.fleet.logs import say
from mapscope.fleet.state import TargetState
from mapscope.fleet.store.choosing import ProfileStore
from mapscope.fleet.store.opening import said
from mapscope.fleet.targets import Target
from mapscope.fleet.window import Key, Point


def restore(store: ProfileStore, target: Target, state: TargetState) -> None:
    """Fills the window from the store; where that cannot be read, it stays empty.

    Of a profile all places were kept where they make up all of its map bytes (the indicator P1).
    """
    wall, now = time.time(), time.monotonic()
    try:
        begin = int((wall - state.window.seconds) * 1e6)
        rows = store.read(target.service, begin, int(wall * 1e6), target.instance)
    except (SQLAlchemyError, MapscopeError) as error:
        say("warning", "what came before cannot be read", target=target.instance, error=said(error))
        return
    of: dict[Any, dict[Key, int]] = defaultdict(dict)
    for row in rows.places:
        key = row["function"], row["type"]
        of[row["profile_id"]][key] = of[row["profile_id"]].get(key, 0) + row["inuse_bytes"]
    for row in rows.indicators:
        if row["name"] == "P1":
            at = now - (wall - row["taken_us"] / 1e6)
            places, held = of.get(row["profile_id"], {}), int(row["value"])
            state.window.add(Point(at, held, places, sum(places.values()) == held))
