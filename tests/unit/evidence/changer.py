"""A program that does to its memory what each line on its standard input says, and nothing in between."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys

PAGE, MB = mmap.PAGESIZE, 1 << 20
READ, READ_WRITE = 1, 3
PRIVATE_ANONYMOUS = 0x22
DONTNEED = 4
MAY_MOVE = 1
LIBC = ctypes.CDLL(None)
LIBC.mmap.restype = LIBC.mremap.restype = ctypes.c_void_p


def far(number: int) -> ctypes.c_void_p:
    return ctypes.c_void_p(number)


def write(at: int, text: bytes) -> None:
    ctypes.memmove(at, text, len(text))


def new(size: int, first: bytes) -> int:
    at: int = LIBC.mmap(None, far(size), READ_WRITE, PRIVATE_ANONYMOUS, -1, far(0))
    for page in range(0, size, PAGE):
        write(at + page, first + str(page).encode())
    return at


def main() -> None:
    big = new(32 * MB, b"big")
    written, dropped, zeroed, ended, moved, guarded = (new(2 * MB, bytes([65 + number])) for number in range(6))
    print(os.getpid(), flush=True)
    for line in sys.stdin:
        for word in line.split():
            if word == "scatter":
                for page in range(0, 32 * MB, 5 * PAGE):
                    write(big + page, b"scattered")
            elif word == "all":
                for page in range(0, 32 * MB, PAGE):
                    write(big + page, line.encode())
            elif word == "write":
                write(written + 7 * PAGE + 9, b"written")
            elif word == "drop":
                LIBC.madvise(far(dropped + MB), far(MB // 2), DONTNEED)
            elif word == "zero":
                LIBC.madvise(far(zeroed), far(MB), DONTNEED)
                for page in range(0, MB, PAGE):  # the kernel's page of zeros comes into each place
                    ctypes.c_char.from_address(zeroed + page).value  # noqa: B018
            elif word == "end":
                LIBC.munmap(far(ended), far(2 * MB))
            elif word == "move":
                moved = LIBC.mremap(far(moved), far(2 * MB), far(64 * MB), MAY_MOVE)
                write(moved + 3 * MB, b"moved")
            elif word == "guard":
                write(guarded, b"guarded")
                LIBC.mprotect(far(guarded), far(MB), READ)
            elif word == "new":
                new(3 * MB, b"new")
        print("done", flush=True)


if __name__ == "__main__":
    main()
