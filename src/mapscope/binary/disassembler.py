"""Instructions as capstone's text: ``(address, size, mnemonic, operands)``, without capstone's Python package.

That package imports the tables of twenty architectures, and gives one instruction at a time; the start of most commands
waits for it. Its library is called here directly, as capstone/capstone.h declares it; only where that is not what this
module knows (another major version, another place) the package does the work.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.errors import UsageError

NO_CAPSTONE = "capstone is not installed: pip install 'mapscope[asm]'"
"""Note for reports when machine code cannot be decoded."""

Instruction = tuple[int, int, str, str]
Rows = npt.NDArray[np.void]
"""Instructions as rows with the fields ``address``, ``size``, ``mnemonic``, ``operands`` (text up to a zero byte)."""

_MODES = {"amd64": (3, 8, False), "arm64": (1, 0, True)}
"""Architecture and mode in capstone 5 (``CS_ARCH_X86``, ``CS_MODE_64``; ``CS_ARCH_ARM64``, ``CS_MODE_ARM``), and
whether data is passed over."""
_SKIPDATA, _ON = 5, 3
"""``CS_OPT_SKIPDATA``, ``CS_OPT_ON``."""
_MAJOR = 5
_INSTRUCTION = np.dtype(
    {
        "names": ["address", "size", "mnemonic", "operands"],
        "formats": ["<u8", "<u2", "S32", "S160"],
        "offsets": [8, 16, 42, 74],
        "itemsize": 248,
    }
)
"""``cs_insn`` of capstone 5: id, address, size, bytes[24], mnemonic[32], op_str[160], detail."""
_AT_ONCE = 4096
_PACKAGED = np.dtype([("address", "<u8"), ("size", "<u2"), ("mnemonic", "S32"), ("operands", "S160")])
_LIBRARY = ("lib", "libcapstone.so")


class Disassembler(Struct, frozen=True):
    """Machine code of one architecture to words.

    ``rows(code, address)``: the instructions of some code, which lies at an address, in pieces. On amd64 they end
    before the first that is none; on arm64, where each has four bytes, what is none is called ``.byte``.
    """

    rows: Callable[[bytes, int], Iterator[Rows]]

    def texts(self, code: bytes, address: int) -> Iterator[Instruction]:
        """The same one by one."""
        for rows in self.rows(code, address):
            for at, size, mnemonic, operands in rows[["address", "size", "mnemonic", "operands"]].tolist():
                yield at, size, text_of(mnemonic), text_of(operands)


def text_of(raw: bytes) -> str:
    """What stands before the first zero byte; behind it lies what was there before, in capstone's memory."""
    return raw.partition(b"\0")[0].decode()


def have_capstone() -> bool:
    """Whether machine code can be decoded here."""
    return _folder() is not None


def disassembler(arch: str) -> Disassembler:
    """For the code of ``arch``; UsageError when capstone is missing or the architecture is not known."""
    if arch not in _MODES:
        raise UsageError(f"machine code of {arch} cannot be decoded", "use amd64 or arm64 programs")
    folder = _folder()
    try:
        if folder is None:
            raise ImportError
        return _direct(folder.joinpath(*_LIBRARY), *_MODES[arch]) or packaged(arch)
    except ImportError as error:
        raise UsageError("machine code cannot be decoded: " + NO_CAPSTONE, "pip install 'mapscope[asm]'") from error


def packaged(arch: str) -> Disassembler:
    """The same by capstone's own package, whatever its version. ImportError where it cannot be imported."""
    import capstone

    kinds = {
        "amd64": (capstone.CS_ARCH_X86, capstone.CS_MODE_64),
        "arm64": (getattr(capstone, "CS_ARCH_AARCH64", None) or capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM),
    }
    engine = capstone.Cs(*kinds[arch])
    engine.skipdata = _MODES[arch][2]

    def rows(code: bytes, address: int) -> Iterator[Rows]:
        yield np.array(list(engine.disasm_lite(code, address)), _PACKAGED)

    return Disassembler(rows)


def _folder() -> Path | None:
    try:
        spec = importlib.util.find_spec("capstone")
    except ValueError:  # a module of this name that is none stands in its place
        return None
    return None if spec is None or not spec.submodule_search_locations else Path(spec.submodule_search_locations[0])


def _direct(library: Path, arch: int, mode: int, skip: bool) -> Disassembler | None:
    """By the library itself; None where it is not there, or not of the version whose structs are known here."""
    try:
        api = ctypes.CDLL(str(library))
        version, disasm, free = api.cs_version, api.cs_disasm, api.cs_free
    except (OSError, AttributeError):
        return None
    version.restype, version.argtypes = ctypes.c_uint, (ctypes.c_void_p, ctypes.c_void_p)
    disasm.restype = ctypes.c_size_t
    disasm.argtypes = (
        *(ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t),
        *(ctypes.c_uint64, ctypes.c_size_t, ctypes.POINTER(ctypes.c_void_p)),
    )
    free.restype, free.argtypes = None, (ctypes.c_void_p, ctypes.c_size_t)
    handle = ctypes.c_size_t()
    if version(None, None) >> 8 != _MAJOR or api.cs_open(arch, mode, ctypes.byref(handle)):
        return None
    api.cs_option.argtypes = (ctypes.c_size_t, ctypes.c_int, ctypes.c_size_t)
    if skip and api.cs_option(handle, _SKIPDATA, _ON):
        return None

    def rows(code: bytes, address: int) -> Iterator[Rows]:
        done = 0
        while done < len(code):
            some = _some(code[done:] if done else code, address + done)
            yield some
            if len(some) < _AT_ONCE:
                return
            done = int(some["address"][-1]) + int(some["size"][-1]) - address

    def _some(code: bytes, address: int) -> Rows:
        first = ctypes.c_void_p()
        count = disasm(handle, code, len(code), address, _AT_ONCE, ctypes.byref(first))
        if not count:
            return np.zeros(0, _INSTRUCTION)
        try:
            found: Rows = np.frombuffer(ctypes.string_at(first.value or 0, count * _INSTRUCTION.itemsize), _INSTRUCTION)
        finally:
            free(first, count)
        return found

    return Disassembler(rows)
