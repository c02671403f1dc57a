"""``mapscope lab``: Go toolchains, machine code, scenarios on real programs, and the claims that they settle.

The commands are imported when they are called.
"""

from __future__ import annotations

import click

from mapscope.commands import LazyGroup, helped

_COMMANDS = {
    "toolchains": "mapscope.lab.toolchains_command",
    "asm": "mapscope.lab.asm_command",
    "scenarios": "mapscope.lab.scenarios_command",
    "run": "mapscope.lab.run_command",
    "claims": "mapscope.lab.claims_command",
    "verify": "mapscope.lab.verify_command",
    "curve": "mapscope.lab.curve_command",
}
_EPILOG = """\b
Examples:
  mapscope lab toolchains install 1.23 1.26
  mapscope lab asm ./service
  mapscope lab run stalled --go 1.23 --go 1.26
  mapscope lab claims --section 2.1
  mapscope lab verify --go 1.26

\b
Exit status: 0 as expected, 1 something is not, 2 usage or unusable input."""


@click.group(cls=LazyGroup, modules=_COMMANDS, epilog=_EPILOG)
@click.pass_context
def command(context: click.Context) -> int | None:
    """Experiments with real Go toolchains: what is true about Go maps.

    Toolchains lie in a cache folder (MAPSCOPE_CACHE), one folder a release;
    those on PATH and in GOROOT serve as they are.
    """
    return helped(context)
