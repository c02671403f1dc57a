"""Pods of a cluster as targets. The API is asked with ``list``, nothing else: the account needs no other right.

Lists come in pages (``limit``, ``continue``); a token of pages that the server no longer knows (410) begins anew.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from typing import Any

import httpx2
import msgspec

from mapscope.fleet.asking import STATUS, AskError, ask, make_client, secrets_of
from mapscope.fleet.config import Authorization, KubernetesSD, TLSConfig
from mapscope.fleet.marks import FilePath
from mapscope.fleet.targets import Target

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where a pod finds token, authority and namespace of its account."""
_PAGE = 500
_MAX_PODS = 50_000
_MAX_PAGE_BYTES = 64 << 20
_TIMEOUT = 20.0


class _Port(msgspec.Struct):
    containerPort: int  # noqa: N815  # the API's own name
    name: str = ""
    protocol: str = "TCP"


class _Container(msgspec.Struct):
    ports: list[_Port] | None = None


class _Meta(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None
    deletionTimestamp: str | None = None  # noqa: N815


class _Spec(msgspec.Struct):
    containers: list[_Container] = []


class _Status(msgspec.Struct):
    phase: str = ""
    podIP: str = ""  # noqa: N815


class _Pod(msgspec.Struct):
    metadata: _Meta
    spec: _Spec
    status: _Status


class _ListMeta(msgspec.Struct):
    continue_: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: list[_Pod] | None = None


class Pods:
    """The pods that one entry of ``kubernetes_sd_configs`` means."""

    kind = "kubernetes"

    def __init__(
        self, job: str, config: KubernetesSD, environment: Callable[[str], str | None], account: str = ACCOUNT
    ) -> None:
        """``environment``: variables that a pod has; ``account``: the folder of its account."""
        self._job, self._config, self._account = job, config, account
        self._server, self._tls, self._authorization = config.api_server, config.tls_config, config.authorization
        if self._server is None:
            host, port = environment("KUBERNETES_SERVICE_HOST"), environment("KUBERNETES_SERVICE_PORT") or "443"
            self._server = None if host is None else f"https://{f'[{host}]' if ':' in host else host}:{port}"
            if self._tls == TLSConfig():
                self._tls = TLSConfig(ca_file=FilePath(f"{account}/ca.crt"))
            if self._authorization is None:
                self._authorization = Authorization(credentials_file=FilePath(f"{account}/token"))

    @property
    def every(self) -> float:
        """Seconds between two lists."""
        return self._config.refresh_interval

    async def targets(self) -> list[Target]:
        """Running pods with the port. AskError where the API does not tell."""
        if self._server is None:
            raise AskError(STATUS, "not in a cluster: KUBERNETES_SERVICE_HOST is not set", "set api_server")
        namespaces = list(self._config.namespaces.names)
        if self._config.namespaces.own_namespace:
            namespaces.append(self._own())
        found: list[Target] = []
        async with make_client(self._tls) as client:
            for namespace in namespaces or [""]:
                try:
                    found.extend(await self._listed(client, namespace))
                except AskError as error:
                    if error.status != 410:
                        raise
                    found.extend(await self._listed(client, namespace))
        return found

    async def _listed(self, client: httpx2.AsyncClient, namespace: str) -> list[Target]:
        assert self._server is not None
        path = "/api/v1/pods"
        if namespace:
            path = f"/api/v1/namespaces/{urllib.parse.quote(namespace, safe='')}/pods"
        query: dict[str, str] = {"limit": str(_PAGE)}
        for selector in self._config.selectors:
            query |= {"labelSelector": selector.label} if selector.label else {}
            query |= {"fieldSelector": selector.field} if selector.field else {}
        found: list[Target] = []
        for _ in range(-(-_MAX_PODS // _PAGE)):
            url = f"{self._server.rstrip('/')}{path}?{urllib.parse.urlencode(query)}"
            page = await self._page(client, url, path)
            found.extend(target for pod in page.items or () for target in self._of(pod))
            if not page.metadata.continue_:
                return found
            query["continue"] = page.metadata.continue_
        raise AskError(STATUS, f"{path} has more than {_MAX_PODS:,} pods", "set namespaces or selectors")

    async def _page(self, client: httpx2.AsyncClient, url: str, path: str) -> _List:
        headers = {"Accept": "application/json", **secrets_of(self._authorization, None)}
        try:
            name = self._tls.server_name
            return msgspec.json.decode(await ask(client, url, headers, _TIMEOUT, _MAX_PAGE_BYTES, name), type=_List)
        except AskError as error:
            hint = error.hint
            if error.status == 401:
                hint = "the token is not accepted: see authorization"
            elif error.status == 403:
                hint = "the account needs get and list of pods: deploy/kubernetes/base/rbac.yaml"
            raise AskError(
                error.reason, f"the Kubernetes API: {path}: {_status_words(error)}", hint, error.status
            ) from error  # fmt: skip
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise AskError(STATUS, f"the Kubernetes API: {path} is no list of pods", "see api_server") from error

    def _of(self, pod: _Pod) -> list[Target]:
        if pod.status.phase != "Running" or not pod.status.podIP or pod.metadata.deletionTimestamp is not None:
            return []
        wanted = self._config.port
        ports = [
            port.containerPort
            for container in pod.spec.containers
            for port in container.ports or ()
            if port.protocol == "TCP" and wanted in (port.name, str(port.containerPort))
        ]
        if not ports and wanted.isdigit():
            ports = [int(wanted)]  # a pod need not declare it
        labels: dict[str, Any] = pod.metadata.labels or {}
        service = labels.get(self._config.service_label) or labels.get("app") or self._job
        host = f"[{pod.status.podIP}]" if ":" in pod.status.podIP else pod.status.podIP
        return [Target(self._job, service, f"{host}:{port}") for port in dict.fromkeys(ports) if 0 < port < 65536]

    def _own(self) -> str:
        try:
            with open(f"{self._account}/namespace", encoding="utf-8") as stream:
                return stream.read(300).strip()
        except OSError as error:
            raise AskError(STATUS, f"cannot read {self._account}/namespace", "set namespaces: names") from error


def _status_words(error: AskError) -> str:
    return f"answers {error.status}" if error.status else str(error)
