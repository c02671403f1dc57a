"""What a heap profile names: the article's filters find nothing."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario

_TYPES = ("runtime.bmap", "map.bucket")
_FRAMES = ("runtime.mapassign", "runtime.hashGrow", "runtime.evacuate", "internal/runtime/maps.")
_FORMS = ("text", "proto")


def judge(run: Run) -> Iterator[Check]:
    """The function that makes the maps is there; types and the runtime's own frames are not."""
    seen = run.pick(*(f"main.fill in {form}" for form in _FORMS))
    there = all(run.number(name) > 0 for name in seen)
    types = run.pick(*(f"{word} in {form}" for word in _TYPES for form in _FORMS))
    none = there and not any(run.number(name) for name in types)
    verdict = "false" if none else "true"
    yield Check("no profile names a type of the map", none, {**seen, **types}, {2: verdict, 10: verdict, 14: verdict})
    frames = run.pick(*(f"{word} in {form}" for word in _FRAMES for form in _FORMS))
    hidden = there and not any(run.number(name) for name in frames)
    yield Check("nor a frame of it", hidden, {**seen, **frames}, {75: "false" if hidden and none else "true"})


SCENARIO = Scenario(
    name="profile_words",
    section="1",
    shows="heap profiles name neither types nor frames of the map",
    judge=judge,
)
