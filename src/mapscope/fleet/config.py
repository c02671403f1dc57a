"""The settings of ``mapscope watch``: the file as typed records. docs/reference/watch-config.md is made from them."""

from __future__ import annotations

import os
import re
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from mapscope.fleet.marks import Duration, FilePath, Problem, Size, decode, read_yaml

_HOST_PORT = re.compile(r"(?:\[[0-9a-fA-F:.%]+\]|[^\s/:@\[\]?#]+):(\d{1,5})")
_JOB = re.compile(r"[^\x00-\x1f]{1,200}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_DAY = 86400.0


class TLSConfig(Struct, frozen=True, kw_only=True):
    """How a server's certificate is judged, and our own."""

    ca_file: Annotated[FilePath | None, Meta(description="Authorities to trust in place of the system's.")] = None
    cert_file: Annotated[FilePath | None, Meta(description="Our certificate, for servers that ask for one.")] = None
    key_file: Annotated[FilePath | None, Meta(description="Its key.")] = None
    server_name: Annotated[str | None, Meta(description="The name that the certificate must carry.")] = None
    insecure_skip_verify: Annotated[bool, Meta(description="Take any certificate.")] = False

    def problem(self) -> Problem | None:
        """A certificate and its key go together."""
        if (self.cert_file is None) != (self.key_file is None):
            return Problem("cert_file", "cert_file and key_file go together", "give both, or none")
        return None


class Authorization(Struct, frozen=True, kw_only=True):
    """The header Authorization."""

    credentials_file: Annotated[FilePath, Meta(description="Holds the token; read anew for each request.")]
    type: Annotated[str, Meta(description="The word before the token.")] = "Bearer"


class BasicAuth(Struct, frozen=True, kw_only=True):
    """User and password."""

    username: str
    password_file: Annotated[FilePath, Meta(description="Holds the password; read anew for each request.")]


class StaticConfig(Struct, frozen=True, kw_only=True):
    """Targets that are written down."""

    targets: Annotated[list[str], Meta(description="HOST:PORT of each.")]
    labels: Annotated[
        dict[str, str], Meta(description="`service` names the service; without it the job's name does.")
    ] = {}

    def problem(self) -> Problem | None:
        """Targets are HOST:PORT."""
        for number, one in enumerate(self.targets):
            if (found := target_problem(one)) is not None:
                hint = "write HOST:PORT; scheme and path have keys of their own"
                return Problem("targets", f"{one[:100]!r} {found}", hint, (number,))
        return None


class FileSD(Struct, frozen=True, kw_only=True):
    """Targets from files that something else writes: lists of `targets` and `labels`, YAML or JSON."""

    files: Annotated[list[FilePath], Meta(description="Names or patterns.")]
    refresh_interval: Annotated[Duration, Meta(description="How often they are read.")] = Duration(30.0)


class Namespaces(Struct, frozen=True, kw_only=True):
    """Which namespaces are asked; none named: all."""

    names: list[str] = []
    own_namespace: Annotated[bool, Meta(description="The namespace that the watch itself runs in.")] = False


class Selector(Struct, frozen=True, kw_only=True):
    """Leaves out pods at the server."""

    role: Literal["pod"] = "pod"
    label: Annotated[str | None, Meta(description="A label selector: `app=store,tier!=test`.")] = None
    field: Annotated[str | None, Meta(description="A field selector: `spec.nodeName=one`.")] = None


class KubernetesSD(Struct, frozen=True, kw_only=True):
    """Pods of a cluster. The API is asked with `list` only."""

    role: Literal["pod"] = "pod"
    api_server: Annotated[
        str | None, Meta(description="URL; left out, that of the cluster that the watch runs in, with its account.")
    ] = None
    namespaces: Namespaces = field(default_factory=Namespaces)
    selectors: Annotated[list[Selector], Meta(description="At most one.")] = []
    port: Annotated[str, Meta(description="Name or number of the container port that serves profiles.")] = "pprof"
    service_label: Annotated[
        str, Meta(description="The pod's label that names the service; without it `app`, then the job's name.")
    ] = "app.kubernetes.io/name"
    refresh_interval: Annotated[Duration, Meta(description="How often the API is asked.")] = Duration(30.0)
    tls_config: TLSConfig = field(default_factory=TLSConfig)
    authorization: Authorization | None = None

    def problem(self) -> Problem | None:
        """URLs are http or https."""
        if self.api_server is not None and not self.api_server.startswith(("https://", "http://")):
            return Problem("api_server", f"{self.api_server!r} is no URL", "write https://HOST:6443")
        if len(self.selectors) > 1:
            return Problem("selectors", "more than one selector for pods", "put them in one: label and field")
        return None


class ScrapeConfig(Struct, frozen=True, kw_only=True):
    """One job: services that are asked alike."""

    job_name: str
    scrape_interval: Annotated[Duration | None, Meta(description="Default: that of `global`.")] = None
    scrape_timeout: Annotated[Duration | None, Meta(description="Default: that of `global`.")] = None
    scheme: Literal["http", "https"] = "http"
    heap_path: Annotated[str, Meta(description="`debug=1` makes parts exact.")] = "/debug/pprof/heap"
    goroutine_path: Annotated[
        str | None, Meta(description="`debug=2` tells waits and states; null: goroutines are not asked.")
    ] = "/debug/pprof/goroutine?debug=2"
    goroutine_interval: Annotated[
        Duration | None, Meta(description="debug=2 stops the service for a moment. Default: five scrape intervals.")
    ] = None
    executables: Annotated[
        list[FilePath],
        Meta(description="Programs that run there, names or patterns. Without the right one maps are not told."),
    ] = []
    headers: Annotated[dict[str, str], Meta(description="Sent with each request.")] = {}
    authorization: Authorization | None = None
    basic_auth: BasicAuth | None = None
    tls_config: TLSConfig = field(default_factory=TLSConfig)
    static_configs: list[StaticConfig] = []
    file_sd_configs: list[FileSD] = []
    kubernetes_sd_configs: list[KubernetesSD] = []

    def problem(self) -> Problem | None:
        """What Prometheus refuses as well, and paths that are none."""
        if not _JOB.fullmatch(self.job_name):
            return Problem("job_name", "job_name is empty, too long or not one line", "write a short name")
        if self.authorization is not None and self.basic_auth is not None:
            return Problem("basic_auth", "basic_auth and authorization both set one header", "keep one")
        for key in ("heap_path", "goroutine_path"):
            path = getattr(self, key)
            if path is not None and (not path.startswith("/") or any(c <= " " for c in path)):
                return Problem(key, f"{key} {path!r} is no path", f"write {key}: /debug/pprof/…")
        for name, value in self.headers.items():
            if not _TOKEN.fullmatch(name) or not value.isprintable() or not value.isascii():
                return Problem("headers", f"the header {name!r} cannot be sent", "names are words, values one line")
        return _interval_problem(self.scrape_interval, self.scrape_timeout)


class Global(Struct, frozen=True, kw_only=True):
    """What holds for all jobs that do not say otherwise."""

    scrape_interval: Duration = Duration(60.0)
    scrape_timeout: Annotated[Duration | None, Meta(description="Default: `10s`, or the interval if that is less.")] = (
        None
    )

    def problem(self) -> Problem | None:
        """A request must end before the next."""
        return _interval_problem(self.scrape_interval, self.scrape_timeout)


class Store(Struct, frozen=True, kw_only=True):
    """Where profiles and indicators are kept."""

    path: Annotated[FilePath | None, Meta(description="SQLite file. Default: `mapscope.db` beside the file.")] = None
    url: Annotated[
        str | None, Meta(description="`postgresql://USER@HOST/DATABASE` in its place; passwords go elsewhere.")
    ] = None
    growth: Annotated[
        FilePath | None,
        Meta(description="Several servers in their place: the store file of `mapscope growth`, `.yaml`."),
    ] = None
    password_file: Annotated[FilePath | None, Meta(description="Of `url`: holds the password.")] = None
    buffer_size: Annotated[
        Size, Meta(description="Memory for what waits while the store cannot be written; then the oldest is dropped.")
    ] = Size(64_000_000)

    def problem(self) -> Problem | None:
        """One place, and no password in a file that others read."""
        given = [key for key in ("path", "url", "growth") if getattr(self, key) is not None]
        if len(given) > 1:
            return Problem(given[1], f"{given[0]} and {given[1]} are two stores", "keep one")
        if self.growth is not None and not self.growth.endswith((".yaml", ".yml")):
            return Problem("growth", "growth names no .yaml", "name the file that mapscope growth reads, *.yaml")
        if self.password_file is not None and self.growth is not None:
            return Problem("password_file", "password_file belongs to url", "put passwords into ~/.pgpass")
        if self.url is not None:
            if not self.url.startswith(("postgresql://", "postgres://")):
                return Problem("url", "url is not one of PostgreSQL", "write postgresql://USER@HOST/DATABASE")
            if re.match(r"[a-z]+://[^/@]*:[^/@]*@", self.url):
                return Problem("url", "url holds a password", "put it into a file of its own: password_file")
        return None


class Retention(Struct, frozen=True, kw_only=True):
    """What is dropped, the oldest first."""

    profiles: Annotated[Duration, Meta(description="Age of raw profiles.")] = Duration(7 * _DAY)
    indicators: Annotated[Duration, Meta(description="Age of indicators, places and findings.")] = Duration(90 * _DAY)
    max_size: Annotated[Size, Meta(description="Bytes of raw profiles, compressed, in all.")] = Size(10_000_000_000)
    interval: Annotated[Duration, Meta(description="How often it is seen to.")] = Duration(300.0)

    def problem(self) -> Problem | None:
        """A sweep needs time."""
        return Problem("interval", "interval is below 1s", "write 1s or more") if self.interval < 1 else None


class Limits(Struct, frozen=True, kw_only=True):
    """What hostile or broken services cannot exceed."""

    concurrency: Annotated[int, Meta(description="Requests at a time.")] = 20
    response_size: Annotated[Size, Meta(description="Bytes of one answer, as sent.")] = Size(64_000_000)
    inflated_size: Annotated[Size, Meta(description="Bytes of one profile, inflated.")] = Size(256_000_000)
    targets: Annotated[int, Meta(description="Targets in all; more are not watched, and a metric says so.")] = 5000
    places: Annotated[int, Meta(description="Places of map memory that are kept of each profile.")] = 20
    max_backoff: Annotated[Duration, Meta(description="Longest time between two tries of a failing target.")] = (
        Duration(600.0)
    )
    processes: Annotated[int, Meta(description="Processes that work profiles out; changes with a restart only.")] = 1
    judging_time: Annotated[Duration, Meta(description="CPU time that one profile may take.")] = Duration(60.0)

    def problem(self) -> Problem | None:
        """Nothing can be done with none."""
        for key in ("concurrency", "response_size", "inflated_size", "targets", "processes"):
            if getattr(self, key) < 1:
                return Problem(key, f"{key} is 0", "write 1 or more")
        return None


class Web(Struct, frozen=True, kw_only=True):
    """Where /metrics, /healthz and /readyz are."""

    listen: Annotated[str, Meta(description="HOST:PORT; port 0 is any free one, which the log names.")] = (
        "127.0.0.1:9719"
    )

    def problem(self) -> Problem | None:
        """HOST:PORT."""
        found = target_problem(self.listen, zero=True)
        return Problem("listen", f"{self.listen!r} {found}", "write 127.0.0.1:9719") if found else None


class Config(Struct, frozen=True, kw_only=True, rename={"global_": "global"}):
    """The whole file."""

    scrape_configs: list[ScrapeConfig]
    global_: Global = field(default_factory=Global)
    store: Store = field(default_factory=Store)
    retention: Retention = field(default_factory=Retention)
    limits: Limits = field(default_factory=Limits)
    web: Web = field(default_factory=Web)
    window: Annotated[
        Duration, Meta(description="Growth and rising places are told from the profiles of this time.")
    ] = Duration(3600.0)

    def problem(self) -> Problem | None:
        """Jobs have different names; a request ends before the next."""
        names: set[str] = set()
        for number, job in enumerate(self.scrape_configs):
            if job.job_name in names:
                message = f"two jobs are called {job.job_name!r}"
                return Problem("scrape_configs", message, "give each job its own name", (number, "job_name"))
            names.add(job.job_name)
            interval = self.interval(job)
            if job.scrape_timeout is not None and job.scrape_timeout > interval:
                message = f"scrape_timeout is above scrape_interval ({interval:g}s)"
                return Problem("scrape_configs", message, "make it shorter", (number, "scrape_timeout"))
        return None

    def interval(self, job: ScrapeConfig) -> float:
        """Seconds between two heap profiles of the job."""
        return self.global_.scrape_interval if job.scrape_interval is None else job.scrape_interval

    def timeout(self, job: ScrapeConfig) -> float:
        """Seconds that one request of the job may take; of ``global`` no more than the interval."""
        if job.scrape_timeout is not None:
            return job.scrape_timeout
        given = self.global_.scrape_timeout
        return min(_TIMEOUT if given is None else given, self.interval(job))

    def goroutine_interval(self, job: ScrapeConfig) -> float:
        """Seconds between two goroutine profiles of the job."""
        return 5 * self.interval(job) if job.goroutine_interval is None else job.goroutine_interval


def load(path: str) -> Config:
    """The settings in the file. Raises ConfigError, which names line and column."""
    config = decode(Config, read_yaml(path), path)
    if config.store.path is None and config.store.url is None and config.store.growth is None:
        from msgspec.structs import replace

        beside = os.path.join(os.path.dirname(os.path.abspath(path)), "mapscope.db")
        return replace(config, store=replace(config.store, path=FilePath(beside)))
    return config


def target_problem(text: str, zero: bool = False) -> str | None:
    """What is wrong with HOST:PORT; None: nothing. ``zero``: port 0 is one."""
    if "://" in text:
        return "is a URL"
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        return "is not HOST:PORT"
    return None if int(not zero) <= int(found[1]) <= 65535 else "has no such port"


_TIMEOUT = 10.0
"""Seconds, where nothing is said: as Prometheus has it, which takes the interval too where that is less."""


def _interval_problem(interval: float | None, timeout: float | None) -> Problem | None:
    if interval is not None and interval < 0.1:
        return Problem("scrape_interval", "scrape_interval is below 100ms", "write 15s or more")
    if timeout is not None and timeout <= 0:
        return Problem("scrape_timeout", "scrape_timeout is 0", "write 10s")
    if interval is not None and timeout is not None and timeout > interval:
        return Problem("scrape_timeout", f"scrape_timeout is above scrape_interval ({interval:g}s)", "make it shorter")
    return None
