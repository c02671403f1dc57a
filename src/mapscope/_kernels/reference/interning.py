"""Equal strings made one: the plain version of _interning.pyx."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def intern(
    data: npt.NDArray[np.uint8], spans: npt.NDArray[np.int64], seed: int, codes: npt.NDArray[np.int32],
    first: npt.NDArray[np.int64],
) -> int:  # fmt: skip
    """Which of the different strings each of ``spans`` is (``codes``), and the first row of each; how many there are.

    They come in the order of their first rows, whatever ``seed`` is: it only keeps a writer of evidence from knowing
    how they are hashed.
    """
    known: dict[bytes, int] = {}
    for row, (begin, end) in enumerate(spans.tolist()):
        text = data[begin:end].tobytes()
        if text not in known:
            first[len(known)] = row
            known[text] = len(known)
        codes[row] = known[text]
    return len(known)


def gather(data: npt.NDArray[np.uint8], spans: npt.NDArray[np.int64], out: npt.NDArray[np.uint8]) -> None:
    """The strings one behind the other in ``out``, which must have room for all."""
    text = b"".join(data[begin:end].tobytes() for begin, end in spans.tolist())
    out[: len(text)] = np.frombuffer(text, np.uint8)
