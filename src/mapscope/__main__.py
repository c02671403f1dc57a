"""``python -m mapscope``."""

from __future__ import annotations

from mapscope.cli.main import run

if __name__ == "__main__":
    run()
