"""A file of which nothing is left when its writer dies before it is whole.

With ``O_TMPFILE`` the file has no name until it gets its final one (open(2), linkat(2)): a SIGKILL leaves nothing.
Where a file system cannot do that, the file lies beside its place under a name of its own and is locked for as long as
its writer lives; the next writer of the same target removes those that nobody locks any more. So it is, too, for the
moment in which a whole file takes another one's place: linkat(2) replaces nothing, only rename(2) does.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
from pathlib import Path

_NO_TMPFILE = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL, errno.ENOSYS}
"""What open(2) answers to ``O_TMPFILE`` on file systems and kernels without it."""
_MODE = 0o600
_SUFFIX = ".part"


class PrivateFile:
    """A file with mode 0600 that is on its way to ``target``. A context manager: left without ``keep``, it is gone."""

    def __init__(self, target: Path) -> None:
        """Opens it. OSError when nothing can be written in the folder of ``target``."""
        self.target = target
        self._beside: str | None = None
        _remove_abandoned(target)
        try:
            self.fd = os.open(target.parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, _MODE)
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
            self._open_beside()

    def _open_beside(self) -> None:
        folder = self.target.parent
        while True:
            self.fd, self._beside = tempfile.mkstemp(prefix=_prefix(self.target), suffix=_SUFFIX, dir=folder)
            fcntl.flock(self.fd, fcntl.LOCK_EX)
            if os.fstat(self.fd).st_nlink:
                return
            os.close(self.fd)  # another writer took it for abandoned before it was locked

    def __enter__(self) -> PrivateFile:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)
        if self._beside is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._beside)

    def keep(self, *, overwrite: bool) -> None:
        """Gives the file its final name. FileExistsError when there is one and ``overwrite`` is not set."""
        if self._beside is None:
            try:
                self._link(self.target)  # one step: from now on the whole file is there
            except FileExistsError:
                if not overwrite:
                    raise
            else:
                return
        beside = self._beside or self._link_beside()
        if overwrite:
            os.replace(beside, self.target)
        elif os.path.lexists(self.target):  # without O_TMPFILE there may be no hard links either
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(self.target))
        else:
            os.rename(beside, self.target)
        self._beside = None

    def _link_beside(self) -> str:
        """Gives it a name beside its place, and answers that. It is locked before anybody can see it."""
        fcntl.flock(self.fd, fcntl.LOCK_EX)
        beside = f"{self.target.parent}/{_prefix(self.target)}{os.urandom(8).hex()}{_SUFFIX}"
        self._link(beside)
        self._beside = beside
        return beside

    def _link(self, name: str | Path) -> None:
        # with a folder's descriptor Python calls linkat(2), which follows the link in /proc; link(2) does not
        os.link(f"/proc/self/fd/{self.fd}", name, src_dir_fd=self.fd, follow_symlinks=True)


def anonymous(folder: Path) -> int:
    """A file descriptor of a file with mode 0600 in ``folder`` that never gets a name. OSError when it cannot be."""
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC | os.O_EXCL, _MODE)
    except OSError as error:
        if error.errno not in _NO_TMPFILE:
            raise
    descriptor, name = tempfile.mkstemp(prefix="mapscope-", dir=folder)
    os.unlink(name)
    return descriptor


def _prefix(target: Path) -> str:
    """How names begin of files that are on their way to ``target``."""
    return f".{target.name[:200]}."


def _remove_abandoned(target: Path) -> None:
    """Removes what earlier writers of ``target`` left that were killed: the kernel dropped their locks."""
    prefix = _prefix(target)
    for path in target.parent.glob(f"*{_SUFFIX}"):
        if not path.name.startswith(prefix):
            continue
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)
            finally:
                os.close(descriptor)
