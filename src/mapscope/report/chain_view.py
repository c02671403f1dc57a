"""``mapscope chain``: who holds one object, through which fields; on request every way, merged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mapscope.heap.chains import AllChains, ChainTree
from mapscope.heap.holding import Held
from mapscope.report import document as doc
from mapscope.report.build import evidence, process
from mapscope.report.holding import step_row, step_text
from mapscope.report.source import Source
from mapscope.report.style import Style, columns
from mapscope.report.writing import tool
from mapscope.units import hex_addr, human_bytes

_MAX_LINES = 400
"""Lines of a tree that the text shows."""


def build_chain(source: Source, address: int, held: Held, every: AllChains | None) -> doc.ChainDocument:
    """The document of one object. ``every``: with ``--all``."""
    chain = [step_row(step) for step in held.chain]
    return doc.ChainDocument(
        schema=doc.SCHEMA,
        tool=tool(),
        evidence=evidence(source),
        process=process(source),
        address=hex_addr(address),
        type=chain[-1].type if chain else None,
        chain=chain,
        retained_bytes=held.retained,
        dominator=None if held.dominator is None else step_row(held.dominator),
        all=None if every is None else [_node(tree) for tree in every.trees],
        chains=0 if every is None else every.chains,
        more=0 if every is None else every.more,
    )


def _node(tree: ChainTree) -> doc.ChainNode:
    """Trees are at most as deep as chains are long, which is bounded (heap/chains.py: HEAD, TAIL)."""
    return doc.ChainNode(
        step=step_row(tree.step),
        chains=tree.chains,
        objects=tree.objects,
        bytes=tree.bytes,
        children=[_node(child) for child in tree.children],
    )


def render(document: doc.ChainDocument, style: Style | None = None) -> Iterator[str]:
    """The lines: one a step, the root first, then what the object retains, then the tree."""
    style = style or Style()
    for depth, step in enumerate(document.chain):
        yield from _step_lines(step, depth, style)
    yield ""
    if document.retained_bytes:
        yield from style.wrap(f"It retains {human_bytes(document.retained_bytes)}: so much would be free without it.")
    if document.dominator is not None:
        yield from style.wrap(f"Every chain to it passes {_named(document.dominator)}.")
    elif len(document.chain) > 1:
        yield from style.wrap("No single object or root holds it: other roots reach it too (--all shows them).")
    if document.all is not None:
        yield from _trees(document, style)


def _named(step: doc.StepRow) -> str:
    at = f" at {step.address}" if step.kind == "object" and step.type else ""
    return step_text(step) + at


def _step_lines(step: doc.StepRow, depth: int, style: Style) -> Iterator[str]:
    lead = "  " if not depth else "  → "
    address = f"  {step.address}" if step.address and step.address not in step_text(step) else ""
    for at, line in enumerate(style.wrap(step_text(step), "      ", lead)):
        if at or columns(line) + columns(address) <= style.width:
            yield line + (style.dim(address) if not at else "")
            continue
        yield line
        yield "      " + style.dim(address.strip())


def _trees(document: doc.ChainDocument, style: Style) -> Iterator[str]:
    trees = document.all or []
    yield ""
    chains = f"{document.chains:,} chains" if document.chains != 1 else "1 chain"
    yield style.head("ALL CHAINS") + f" {chains} from {len(trees):,} {'root' if len(trees) == 1 else 'kinds of root'}"
    lines = _tree_lines(trees, 0, style)
    for shown, line in enumerate(lines):
        if shown == _MAX_LINES:
            yield style.dim("  and more: -f json has all")
            break
        yield line
    if document.more:
        yield from style.wrap(f"{document.more:,} more objects or roots lead to it and were left out.")


def _tree_lines(trees: Sequence[doc.ChainNode], depth: int, style: Style) -> Iterator[str]:
    """A branch without forks stays at its indent; only forks indent."""
    for tree in trees:
        yield from _branch(tree, depth, style)


def _branch(tree: doc.ChainNode, depth: int, style: Style) -> Iterator[str]:
    node, first = tree, True
    indent = "  " + "    " * min(depth, 8)
    while True:
        facts = []
        if node.chains > 1:
            facts.append(f"{node.chains:,} chains")
        if node.objects > 1:
            facts.append(f"{node.objects:,} objects")
        if node.bytes:
            facts.append(human_bytes(node.bytes))
        said = f"  ({', '.join(facts)})" if facts else ""
        lead = "- " if first else "  → "
        yield from style.wrap(step_text(node.step) + said, indent + "      ", indent + lead)
        if len(node.children) != 1:
            break
        node, first = node.children[0], False
    yield from _tree_lines(node.children, depth + 1, style)
