"""When to move, and how far: the settings of detection and of the plan, with the article's thresholds as defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it. Ratios are fractions of 1, times are seconds.

    A node *enters* a state when its value is strictly beyond the enter level in ``observations`` rounds one after the
    other, and leaves it when the value is not beyond the leave level once. Plans aim at the leave levels, so a move
    never ends near the level that caused it. Skew counts only on nodes whose load ratio is above ``skew_floor``: an
    idle fleet is never even. ``cool_down`` is the rest of a shard and its two nodes after a move; ``max_moves`` is the
    most in one plan (0: no limit). ``settings_file`` checks what comes from a file.
    """

    cpu_weight: float = 0.5
    memory_weight: float = 0.5
    load_enter: float = 0.85
    load_leave: float = 0.75
    free_enter: float = 0.15
    free_leave: float = 0.20
    skew_enter: float = 1.8
    skew_leave: float = 1.5
    skew_floor: float = 0.30
    observations: int = 3
    cool_down: float = 1800.0
    max_moves: int = 0


DEFAULT = Settings()
"""The settings where nothing else is said: the article's 0.85, 15 % and 1.8, entered strictly beyond."""

CLOSE = 1e-9
"""Two ratios no further apart are equal, so that 85 % written in any way is at the threshold and not beyond it."""
