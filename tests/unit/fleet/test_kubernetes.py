"""Pods as targets, from a server that speaks as the API of Kubernetes does: TLS, tokens, pages, refusals."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mapscope.fleet.asking import AskError
from mapscope.fleet.config import Authorization, KubernetesSD, Namespaces, Selector, TLSConfig
from mapscope.fleet.kubernetes import Pods
from mapscope.fleet.marks import FilePath
from mapscope.fleet.targets import Target
from tests.services.certificate import Certificate, make_certificate

pytestmark = pytest.mark.toolchain
TOKEN = "token-of-the-account"


def pod(number: int, **changes: Any) -> dict[str, Any]:
    """A running pod, with fields that the watch does not know."""
    made: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"p{number}", "namespace": "shop", "labels": {"app": "cart"}, "uid": str(number)},
        "spec": {
            "nodeName": "one",
            "containers": [
                {
                    "name": "c",
                    "image": "x",
                    "ports": [
                        {"name": "http", "containerPort": 80, "protocol": "TCP"},
                        {"name": "pprof", "containerPort": 6060},
                    ],
                }
            ],
        },
        "status": {"phase": "Running", "podIP": f"10.0.0.{number}", "conditions": []},
    }
    for key, value in changes.items():
        made[key] = {**made[key], **value}
    return made


class Api(BaseHTTPRequestHandler):
    """One page holds two pods. ``refuse``: statuses to answer with, one a request, before anything else."""

    pods: list[dict[str, Any]] = []  # noqa: RUF012
    asked: list[tuple[str, dict[str, str]]] = []  # noqa: RUF012
    refuse: list[int] = []  # noqa: RUF012
    body = b""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        given = dict(urllib.parse.parse_qsl(query))
        Api.asked.append((path, given))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, b'{"kind":"Status","message":"Unauthorized"}')
        elif Api.refuse and (status := Api.refuse.pop(0)):
            self._answer(status, b'{"kind":"Status"}')
        elif Api.body:
            self._answer(200, Api.body)
        else:
            begin = int(given.get("continue", "0"))
            rest = {"continue": str(begin + 2)} if begin + 2 < len(Api.pods) else {}
            listed = {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1", **rest}}
            self._answer(200, json.dumps({**listed, "items": Api.pods[begin : begin + 2]}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Server(ThreadingHTTPServer):
    """Says nothing of clients that do not trust it."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def api(certificate: Certificate) -> Iterator[str]:
    """URL of the server; three pods."""
    Api.pods, Api.asked, Api.refuse, Api.body = [pod(1), pod(2), pod(3)], [], [], b""
    server = Server(("127.0.0.1", 0), Api)
    server.socket = certificate.context().wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def account(certificate: Certificate, tmp_path: Path) -> Path:
    """The folder that a pod finds."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "namespace").write_text("own")
    (tmp_path / "ca.crt").write_bytes(certificate.certificate.read_bytes())
    return tmp_path


def listed(config: KubernetesSD, account: Path, api: str) -> list[Target]:
    """What a look finds from inside the cluster."""
    host, port = api.removeprefix("https://").split(":")
    environment = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    return asyncio.run(Pods("job", config, environment.get, str(account)).targets())


def test_inside_the_cluster_with_pages(api: str, account: Path):
    """Token, authority and address are those of the pod; three pods are two pages."""
    found = listed(KubernetesSD(), account, api)
    assert found == [Target("job", "cart", f"10.0.0.{n}:6060") for n in (1, 2, 3)]
    assert [path for path, _ in Api.asked] == ["/api/v1/pods"] * 2
    assert [query.get("continue") for _, query in Api.asked] == [None, "2"]


def test_namespaces_and_selectors(api: str, account: Path):
    config = KubernetesSD(
        namespaces=Namespaces(names=["a/b"], own_namespace=True),
        selectors=[Selector(label="app=x,tier!=test", field="spec.nodeName=one")],
    )
    listed(config, account, api)
    assert {path for path, _ in Api.asked} == {"/api/v1/namespaces/a%2Fb/pods", "/api/v1/namespaces/own/pods"}
    for _, query in Api.asked:
        assert query["labelSelector"] == "app=x,tier!=test"
        assert query["fieldSelector"] == "spec.nodeName=one"


def test_which_pods_count(api: str, account: Path):
    Api.pods = [
        pod(1),
        pod(2, status={"phase": "Pending"}),
        pod(3, status={"podIP": ""}),
        pod(4, metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        pod(5, spec={"containers": [{"name": "c"}]}),
        pod(6, metadata={"labels": {"app.kubernetes.io/name": "named", "app": "x"}}),
        pod(7, metadata={"labels": None}),
        pod(8, status={"podIP": "fd00::8"}),
    ]
    found = [(one.service, one.instance) for one in listed(KubernetesSD(), account, api)]
    assert found == [
        ("cart", "10.0.0.1:6060"),
        ("named", "10.0.0.6:6060"),
        ("job", "10.0.0.7:6060"),
        ("cart", "[fd00::8]:6060"),
    ]
    by_number = [one.instance for one in listed(KubernetesSD(port="7070"), account, api)]
    assert by_number == [f"{host}:7070" for host in ("10.0.0.1", "10.0.0.5", "10.0.0.6", "10.0.0.7", "[fd00::8]")]


@pytest.mark.parametrize(
    ("status", "hint"), [(403, "get and list of pods"), (500, ""), (503, ""), (404, "at this path")]
)
def test_refusals(status: int, hint: str, api: str, account: Path):
    Api.refuse = [status]
    with pytest.raises(AskError, match=f"the Kubernetes API: /api/v1/pods: answers {status}") as caught:
        listed(KubernetesSD(), account, api)
    assert hint in caught.value.hint
    assert TOKEN not in str(caught.value)


def test_a_token_that_is_not_taken_is_read_anew(api: str, account: Path):
    """401; when the file has been renewed, the next look works."""
    (account / "token").write_text("old")
    with pytest.raises(AskError, match="answers 401") as caught:
        listed(KubernetesSD(), account, api)
    assert "not accepted" in caught.value.hint
    (account / "token").write_text(TOKEN)
    assert len(listed(KubernetesSD(), account, api)) == 3


def test_pages_that_are_no_longer_known_begin_anew(api: str, account: Path):
    Api.refuse = [0, 410]
    assert len(listed(KubernetesSD(), account, api)) == 3
    assert [query.get("continue") for _, query in Api.asked] == [None, "2", None, "2"]
    Api.refuse = [410, 410]
    with pytest.raises(AskError, match="answers 410"):
        listed(KubernetesSD(), account, api)


@pytest.mark.parametrize("body", [b"<html>", b'{"items": 5}', b"{}", b'{"metadata": {}, "items": [{"metadata": 1}]}'])
def test_answers_that_are_no_list(body: bytes, api: str, account: Path):
    Api.body = body
    with pytest.raises(AskError, match="is no list of pods"):
        listed(KubernetesSD(), account, api)


def test_a_list_without_end_is_given_up(api: str, account: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mapscope.fleet.kubernetes._MAX_PODS", 1000)
    Api.body = b'{"metadata": {"continue": "again"}, "items": []}'
    with pytest.raises(AskError, match="more than 1,000 pods"):
        listed(KubernetesSD(), account, api)
    assert len(Api.asked) == 2


def test_outside_the_cluster(api: str, account: Path, tmp_path: Path):
    authorization = Authorization(credentials_file=FilePath(str(account / "token")))
    config = KubernetesSD(api_server=api, authorization=authorization)
    with pytest.raises(AskError, match="is not trusted"):
        asyncio.run(Pods("job", config, {}.get).targets())
    trusting = KubernetesSD(
        api_server=api, authorization=authorization, tls_config=TLSConfig(ca_file=FilePath(str(account / "ca.crt")))
    )
    assert len(asyncio.run(Pods("job", trusting, {}.get).targets())) == 3
    with pytest.raises(AskError, match="not in a cluster"):
        asyncio.run(Pods("job", KubernetesSD(), {}.get).targets())
