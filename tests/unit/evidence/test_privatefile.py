"""Files of which nothing is left: with O_TMPFILE, and on file systems without it."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mapscope.evidence.privatefile import PrivateFile, anonymous

REAL_OPEN = os.open

# Opens a file that is on its way, without O_TMPFILE, and stops there.
HANGING = """
import errno, os, sys, threading
real = os.open
def no_tmpfile(path, flags, *rest, **more):
    if flags & os.O_TMPFILE == os.O_TMPFILE:
        raise OSError(errno.EOPNOTSUPP, "no")
    return real(path, flags, *rest, **more)
os.open = no_tmpfile
from pathlib import Path
from mapscope.evidence.privatefile import PrivateFile
with PrivateFile(Path(sys.argv[1])) as file:
    os.write(file.fd, b"half")
    print("there", flush=True)
    threading.Event().wait()
"""

# Writes a whole file and dies at the call with that number, before or behind it; says how many there were if it lives.
DYING = """
import fcntl, os, signal, sys
from pathlib import Path
from mapscope.evidence.privatefile import PrivateFile
last, where, calls = int(sys.argv[2]), sys.argv[3], 0
def counted(real):
    def call(*arguments, **more):
        global calls
        calls += 1
        if calls == last and where == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return real(*arguments, **more)
        finally:
            if calls == last and where == "behind":
                os.kill(os.getpid(), signal.SIGKILL)
    return call
with PrivateFile(Path(sys.argv[1])) as file:
    os.write(file.fd, b"whole")
    for module, name in ((os, "link"), (os, "replace"), (os, "rename"), (os, "unlink"), (fcntl, "flock")):
        setattr(module, name, counted(getattr(module, name)))
    file.keep(overwrite=True)
print(calls)
"""


@pytest.fixture(params=[True, False], ids=["tmpfile", "without"])
def kind(request, monkeypatch):
    """Whether the file system knows O_TMPFILE."""

    def no_tmpfile(path, flags, *rest, **more):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return REAL_OPEN(path, flags, *rest, **more)

    if not request.param:
        monkeypatch.setattr(os, "open", no_tmpfile)
    return request.param


@pytest.mark.parametrize("overwrite", [False, True])
def test_it_gets_its_name_when_it_is_whole(kind, tmp_path: Path, overwrite: bool):
    target = tmp_path / "core"
    with PrivateFile(target) as file:
        os.write(file.fd, b"whole")
        assert not target.exists()
        assert len(list(tmp_path.iterdir())) == (0 if kind else 1)
        file.keep(overwrite=overwrite)
    assert target.read_bytes() == b"whole"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.usefixtures("kind")
def test_it_is_gone_when_it_is_not(tmp_path: Path):
    with PrivateFile(tmp_path / "core") as file:
        os.write(file.fd, b"half")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("kind")
def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path):
    target = tmp_path / "core"
    with PrivateFile(target) as file:
        target.write_text("precious")
        with pytest.raises(FileExistsError):
            file.keep(overwrite=False)
    assert target.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [target]
    with PrivateFile(target) as file:
        file.keep(overwrite=True)
    assert target.read_bytes() == b""


def test_what_a_killed_writer_left_is_removed_by_the_next_and_only_that(tmp_path: Path, monkeypatch):
    target = tmp_path / "core"
    writers = [
        subprocess.Popen([sys.executable, "-c", HANGING, str(target)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "there\n"
        assert len(list(tmp_path.iterdir())) == 2
        writers[0].send_signal(signal.SIGKILL)
        writers[0].wait(30)
        assert len(list(tmp_path.iterdir())) == 2
        (tmp_path / ".core.mine.part.txt").touch()
        third = subprocess.Popen([sys.executable, "-c", HANGING, str(target)], stdout=subprocess.PIPE, text=True)
        writers.append(third)
        assert third.stdout is not None
        assert third.stdout.readline() == "there\n"
        assert len(list(tmp_path.glob(".core.*.part"))) == 2
        assert (tmp_path / ".core.mine.part.txt").exists()
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def dying(target: Path, there: bool, last: int, where: str) -> subprocess.CompletedProcess[str]:
    target.unlink(missing_ok=True)
    if there:
        target.write_text("old")
    command = [sys.executable, "-c", DYING, str(target), str(last), where]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("there", [False, True])
def test_killed_while_it_gets_its_name(tmp_path: Path, there: bool):
    """Old or new, whole; beside it nothing where it is new, and else what the next writer removes."""
    target = tmp_path / "core"
    calls = int(dying(target, there, 0, "before").stdout)
    found, left = set(), 0
    for last in range(1, calls + 1):
        for where in ("before", "behind"):
            done = dying(target, there, last, where)
            assert done.returncode == -signal.SIGKILL, done.stderr
            found.add(target.read_text() if target.exists() else None)
            beside = set(tmp_path.iterdir()) - {target}
            left += len(beside)
            assert not beside or there
            assert all(path.read_text() == "whole" for path in beside)
            with PrivateFile(target):
                assert set(tmp_path.iterdir()) <= {target}
    assert found == {"old" if there else None, "whole"}
    assert bool(left) == there


@pytest.mark.usefixtures("kind")
def test_a_file_without_a_name(tmp_path: Path):
    descriptor = anonymous(tmp_path)
    try:
        assert list(tmp_path.iterdir()) == []
        assert os.fstat(descriptor).st_nlink == 0
        assert stat.S_IMODE(os.fstat(descriptor).st_mode) == 0o600
        os.write(descriptor, b"there")
        assert Path(f"/proc/self/fd/{descriptor}").read_bytes() == b"there"
    finally:
        os.close(descriptor)


@pytest.mark.usefixtures("kind")
def test_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        PrivateFile(tmp_path / "none" / "core")
    with pytest.raises(FileNotFoundError):
        anonymous(tmp_path / "none")
