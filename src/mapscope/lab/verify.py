"""Judges every claim anew on a release: by its scenario, or by looking whether the cited source is still there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mapscope.lab.ledger import Claim
from mapscope.lab.running import Outcome, run
from mapscope.lab.scenario import Check, load
from mapscope.lab.toolchains import Toolchain

CHANGED = "changed"
FAILED = "no evidence"
SOURCE = "by source"
MOOT = "moot"
_WORDS = {"true": "confirmed", "false": "refuted", "partly": "in part"}
"""What is said of a claim whose experiment agrees with the ledger's verdict."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came out for one claim on one release.

    ``result``: confirmed, refuted, in part (as the ledger says), changed (it says otherwise), no evidence (the
    experiment failed), by source (no experiment can settle it), or moot. ``evidence``: the numbers, or where it
    is to be found.
    """

    claim: Claim
    toolchain: Toolchain
    result: str
    evidence: str

    @property
    def stands(self) -> bool:
        """Whether nothing changed."""
        return self.result not in (CHANGED, FAILED)


def verify(claims: Sequence[Claim], toolchain: Toolchain, say: Say) -> Iterator[Judgement]:
    """Judges ``claims`` in their order; each scenario runs once. ``say`` is called before one runs."""
    outcomes: dict[str, Outcome] = {}
    for claim in claims:
        verdict = claim.verdict(toolchain.release)
        if verdict == MOOT:
            yield Judgement(claim, toolchain, MOOT, claim.reason(toolchain.release))
        elif claim.kind == "scenario":
            if claim.by not in outcomes:
                say(claim.by)
                outcomes[claim.by] = run(load(claim.by), toolchain)
            yield _by_experiment(claim, toolchain, verdict, outcomes[claim.by])
        else:
            yield _by_reading(claim, toolchain)


def experiments(claims: Sequence[Claim], toolchain: Toolchain) -> int:
    """How many scenarios ``verify`` will run."""
    return len({one.by for one in claims if one.kind == "scenario" and one.verdict(toolchain.release) != MOOT})


def _by_experiment(claim: Claim, toolchain: Toolchain, verdict: str, outcome: Outcome) -> Judgement:
    if outcome.failure:
        return Judgement(claim, toolchain, FAILED, f"{claim.by}: {outcome.failure} (output in {outcome.kept})")
    said = [one for one in outcome.checks if claim.id in one.claims]
    if not said:
        return Judgement(claim, toolchain, FAILED, f"{claim.by} says nothing of it on this release")
    numbers = "; ".join(_numbers(one) for one in said)
    observed = {one.claims[claim.id] for one in said}
    if observed != {verdict}:
        words = f"the ledger says {verdict}, the experiment {' and '.join(sorted(observed))}"
        return Judgement(claim, toolchain, CHANGED, f"{words}: {numbers}")
    if not all(one.ok for one in said):
        return Judgement(claim, toolchain, CHANGED, f"not as expected: {numbers}")
    return Judgement(claim, toolchain, _WORDS[verdict], numbers)


def _by_reading(claim: Claim, toolchain: Toolchain) -> Judgement:
    missing = claim.missing_sources(toolchain)
    if missing:
        return Judgement(claim, toolchain, CHANGED, "no longer in Go's source: " + "; ".join(map(str, missing)))
    cited = [str(one) for one in claim.sources if one.of(toolchain.release)]
    where = "; ".join(cited) or "the family of maps itself"
    return Judgement(claim, toolchain, SOURCE, f"only reading settles it; {where} is there")


def _numbers(check: Check) -> str:
    return ", ".join(f"{name} {value}" for name, value in check.numbers.items())
