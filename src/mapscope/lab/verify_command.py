"""``mapscope lab verify``: which claims still stand."""

from __future__ import annotations

import json
from collections import Counter

import click

from mapscope.errors import UsageError
from mapscope.lab.choosing import ProgressLine, chosen
from mapscope.lab.ledger import claims
from mapscope.lab.page import form_of, page_options, write_page
from mapscope.lab.printing import say
from mapscope.lab.verify import Judgement, experiments, verify

_EPILOG = """\b
Examples:
  mapscope lab verify --go 1.26
  mapscope lab verify --go 1.23 --claim 9 --claim 77
  mapscope lab verify --go 1.21 --go 1.27 -f json
  mapscope lab verify -o claims.html

\b
Exit status: 0 nothing changed, 1 something did or an experiment failed,
2 usage."""


@click.command(epilog=_EPILOG)
@click.option(
    "--go", "versions", multiple=True, metavar="VERSION",
    help="A release (1.23.9) or series (1.23); may be given again. Default: the newest with classic maps, and "
    "the newest.",
)  # fmt: skip
@click.option("--claim", "numbers", multiple=True, type=int, metavar="N", help="Only claim N; may be given again.")
@page_options
def command(
    versions: tuple[str, ...], numbers: tuple[int, ...], form: str | None, output: str | None, force: bool
) -> int:
    """Judge every claim anew, by experiments on real Go releases.

    A claim is confirmed, refuted or true in part, as the ledger says, or
    changed; the measured numbers stand beside it. Of claims that only reading
    settles, the cited functions are looked up in the release's source.
    """
    chosen_form = form_of(form, output, force)
    wanted = [one for one in claims() if not numbers or one.id in numbers]
    unknown = set(numbers) - {one.id for one in wanted}
    if unknown:
        raise UsageError(f"there is no claim {min(unknown)}", f"they are numbered 1 to {len(claims())}")
    toolchains = chosen(versions)
    progress = ProgressLine(sum(experiments(wanted, go) for go in toolchains))
    judged: list[Judgement] = []
    for go in toolchains:
        if chosen_form == "text":
            click.echo(f"Go {go.version}")
        for one in verify(wanted, go, lambda name, go=go: progress.next(f"Go {go.version}: {name}")):  # type: ignore[misc]
            judged.append(one)
            if chosen_form == "text":
                progress.close()
                say(_line(one), "       ")
    progress.close()
    if output is not None:
        from mapscope.report.page.lab import verify_pack

        rows = [{**_document(one), "stands": one.stands} for one in judged]
        write_page(verify_pack(rows), "mapscope lab verify", output)
    elif chosen_form == "json":
        click.echo(json.dumps([_document(one) for one in judged], indent=2, ensure_ascii=True))
    else:
        counts = Counter(one.result for one in judged)
        click.echo(", ".join(f"{count} {word}" for word, count in counts.most_common()))
    return 0 if all(one.stands for one in judged) else 1


def _line(one: Judgement) -> str:
    from mapscope.report.escape import clean

    mark = " " if one.stands else "!"
    head = f"{mark}{one.claim.id:3d} \N{SECTION SIGN}{one.claim.section:4s} {one.result:11s} {one.claim.text}"
    return f"{head}  [{clean(one.evidence, 500)}]"


def _document(one: Judgement) -> dict[str, object]:
    return {
        "go": one.toolchain.version,
        "claim": one.claim.id,
        "section": one.claim.section,
        "text": one.claim.text,
        "verdict": one.claim.verdict(one.toolchain.release),
        "result": one.result,
        "evidence": one.evidence,
        "settled_by": f"{one.claim.kind} {one.claim.by}".strip(),
    }
