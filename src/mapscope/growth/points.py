"""Points where a test lets the controller die.

``MAPSCOPE_GROWTH_DIE_AT=NAME`` ends the process with SIGKILL when it comes to that point the first time; a test in the
same process sets ``hook``. Names: ``EFFECT:done`` after an effect, ``STATE:recorded`` after a record.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

VARIABLE = "MAPSCOPE_GROWTH_DIE_AT"
hook: Callable[[str], None] | None = None


def reach(name: str) -> None:
    """Says that the controller has come to a point."""
    if hook is not None:
        hook(name)
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
