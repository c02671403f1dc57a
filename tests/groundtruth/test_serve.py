"""``mapscope serve`` as it runs: what it answers is what the other commands say, and it tells nobody else."""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mapscope.cli.main import main
from tests.groundtruth import harness
from tests.groundtruth.live import ticking
from tests.groundtruth.secrets import Planted, planted
from tests.groundtruth.serving import Server, serving
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Served:
    """A program, its core, and a server of that."""

    server: Server
    truth: dict[str, Any]
    core: Path
    executable: Path

    def said(self, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
        """What a command says of the same core, as JSON."""
        command, *more = words
        capsys.readouterr()
        program = ["-e", str(self.executable)] if command in ("chain", "map") else [str(self.executable)]
        main([command, str(self.core), *more, *program, "-f", "json"])
        return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def holding() -> Iterator[Served]:
    """The program whose cases all have names."""
    executable = harness.build("holding", Variant("1.26"))
    with tempfile.TemporaryDirectory(prefix="serve-") as name:
        folder = Path(name)
        with harness.running(executable, folder=folder) as program:
            core = harness.take_core(program, "capture", folder)
        with serving(core, executable) as server:
            yield Served(server, program.truth, core, executable)


@pytest.fixture(scope="module", params=["", "--show-contents"], ids=["plain", "shows"])
def secret(request: pytest.FixtureRequest) -> Iterator[tuple[Server, Planted, bool]]:
    """A server of a core with markers, without and with --show-contents."""
    with planted(Variant("1.26")) as core:
        flags = [request.param] if request.param else []
        with serving(core.core, core.executable, *flags) as server:
            yield server, core, bool(flags)


def test_an_address_has_the_chain_of_the_command(holding: Served, capsys: pytest.CaptureFixture[str]):
    for name in ("direct", "object", "list", "goroutine", "twins"):
        address = holding.truth["cases"][name]
        told = holding.server.get(f"api/address/{address:#x}")
        said = holding.said(capsys, "chain", f"{address:#x}")
        assert told["chain"] == said["chain"], name
        assert (told["retained_bytes"], told["dominator"]) == (said["retained_bytes"], said["dominator"])
        assert told["type"] == said["type"]
        assert told["is_map"] == (name != "object")
        assert told["can_show"] is False
    every = holding.server.get(f"api/chains/{holding.truth['cases']['twins']:#x}")
    said = holding.said(capsys, "chain", f"{holding.truth['cases']['twins']:#x}", "--all")
    assert every == said
    assert every["chains"] == 2


def test_a_map_has_the_facts_of_the_command(holding: Served, capsys: pytest.CaptureFixture[str]):
    address = f"{holding.truth['cases']['direct']:#x}"
    told, said = holding.server.get(f"api/map/{address}"), holding.said(capsys, "map", address)
    said["map"]["header"]["seed"] = str(said["map"]["header"]["seed"])  # beyond what a browser's numbers hold
    told["map"]["header"]["seed"] = str(told["map"]["header"]["seed"])
    assert told == said
    assert told["contents"] is None


def test_pages_of_maps_are_the_whole_table(holding: Served, capsys: pytest.CaptureFixture[str]):
    said = holding.said(capsys, "maps", "--sort", "bytes", "--top", "0")["maps"]
    got: list[str] = []
    while True:
        page = holding.server.get(f"api/maps?sort=bytes&limit=7&offset={len(got)}")
        assert page["matching"] == page["total"] == len(said)
        if not page["maps"]:
            break
        got += [row["address"] for row in page["maps"]]
    assert got == [row["address"] for row in said]
    found = holding.server.get("api/maps?search=MAIN.RECS&limit=500")
    assert {row["address"] for row in found["maps"]} == {
        row["address"] for row in said if "main.recs" in (row["type"] or "")
    }


def test_the_tree_keeps_what_the_command_says(holding: Served, capsys: pytest.CaptureFixture[str]):
    said = holding.said(capsys, "dominators", "--top", "10")["dominators"]
    told = holding.server.get("api/dominators?limit=10")
    assert [row["retained_bytes"] for row in told["rows"]] == [row["retained_bytes"] for row in said]
    assert [row["step"] for row in told["rows"]] == [row["step"] for row in said]
    shop = next(row for row in told["rows"] if row["step"]["name"] == "main.shop")
    below = holding.server.get(f"api/dominators?node={shop['node']}")
    cases = holding.truth["cases"]
    assert f"{cases['array']:#x}" in [row["step"]["address"] for row in below["rows"]]
    assert sum(row["retained_bytes"] for row in below["rows"]) + below["rest_bytes"] == shop["retained_bytes"]


def test_types_are_counted(holding: Served):
    told = holding.server.get("api/types?search=main.rec&sort=objects")
    records = next(row for row in told["types"] if row["type"] == "main.rec")
    # every case but the two that are no maps fills one map with as many records as its name's size says
    assert records["objects"] > 30_000
    assert records["bytes"] == 512 * records["objects"]


def test_goroutines_are_grouped_and_found(holding: Served, capsys: pytest.CaptureFixture[str]):
    said = holding.said(capsys, "goroutines")["goroutines"]
    told = holding.server.get("api/goroutines?limit=500")
    assert told["matching"] == len(told["groups"]) > 3
    assert sum(group["count"] for group in told["groups"]) == len(said)
    assert sorted(one for group in told["groups"] for one in group["ids"]) == sorted(one["id"] for one in said)
    found = holding.server.get("api/goroutines?search=MAIN.HOLD")
    (mine,) = [one for one in said if any(frame["function"] == "main.hold" for frame in one["frames"])]
    assert [group["ids"] for group in found["groups"]] == [[mine["id"]]]
    assert found["groups"][0]["map_bytes"] == mine["map_bytes"] > 0
    first, second = (holding.server.get(f"api/goroutines?limit=1&offset={at}")["groups"] for at in (0, 1))
    assert first + second == told["groups"][:2]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("api/address/nonsense", 400),
        ("api/address/0x1ffffffffffffffff", 400),
        ("api/address/" + "f" * 3000, 400),
        ("api/map/0x10", 404),
        ("api/chains/0x10", 404),
        ("api/maps?limit=501", 400),
        ("api/maps?limit=-1", 400),
        ("api/maps?offset=99999999999999", 400),
        ("api/maps?sort=no", 400),
        ("api/maps?search=" + "x" * 201, 400),
        ("api/maps?search=" + "x" * 3000, 414),
        ("api/maps?limit=1&limit=2", 400),
        ("api/maps?callback=x", 400),
        ("api/dominators?node=4000000000", 404),
        ("api/types?sort=name", 400),
        ("api/nothing", 404),
        ("api/maps/", 404),
        ("api", 404),
        ("../api/maps", 404),
        ("api/../../../../etc/passwd", 404),
        ("%2e%2e/%2e%2e/etc/passwd", 404),
        ("api/map/..%2f..%2fetc%2fpasswd", 404),
        ("api/address/0x1%00", 400),
        ("static/app.js", 404),
        ("api/contents/0x10", 404),
    ],
)
def test_wrong_questions_are_documents(holding: Served, path: str, status: int):
    answer = holding.server.ask(path)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["error"]
    assert set(answer.json) == {"error", "hint"}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert b"passwd" not in answer.body
    assert b"root:" not in answer.body


def test_every_rule_of_the_guard_holds_in_the_real_server(holding: Served):
    """The bytes themselves, as no well-meaning client would send them."""
    server = holding.server
    path, host = f"/{server.token}/api/types".encode(), f"127.0.0.1:{server.port}".encode()

    def status(head: bytes) -> bytes:
        got = server.raw(head.replace(b"\n", b"\r\n"))
        assert b"objects" not in got or got.startswith(b"HTTP/1.1 200 ")
        return got.split(b" ", 2)[1] if got else b""

    good = b"GET " + path + b" HTTP/1.1\nHost: " + host + b"\nConnection: close\n\n"
    assert status(good) == b"200"
    assert status(good.replace(host, b"evil.example")) == b"421"
    assert status(good.replace(b"Host: " + host, b"Host: evil.example\nHost: " + host)) in (b"400", b"421")
    assert status(good.replace(b"Host: " + host + b"\n", b"").replace(b"HTTP/1.1", b"HTTP/1.0")) in (b"400", b"421")
    assert status(good.replace(path, b"http://evil.example" + path)) in (b"400", b"404", b"421")
    assert status(good.replace(b"Connection", b"Origin: http://evil.example\nConnection")) == b"403"
    assert status(good.replace(b"Connection", b"Sec-Fetch-Site: cross-site\nConnection")) == b"403"
    assert status(good.replace(server.token.encode(), server.token[::-1].encode())) == b"404"
    assert status(good.replace(b"GET", b"POST")) == b"405"
    assert status(good.replace(b"GET", b"OPTIONS")) == b"405"
    assert status(good.replace(b"Connection", b"X-Long: " + b"x" * 30_000 + b"\nConnection")) == b"431"
    assert status(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 50 + b"\n\n") == b"400"
    assert status(b"GET " + path + b"?" + b"x" * 60_000 + b" HTTP/1.1\nHost: " + host + b"\nConnection: close\n\n") in (
        b"400",
        b"414",
    )
    head = server.raw(good.replace(b"GET", b"HEAD").replace(b"\n", b"\r\n"))
    assert head.startswith(b"HTTP/1.1 200 ")
    assert head.endswith(b"\r\n\r\n")
    for word in (b"server:", b"date:", b"access-control"):
        assert word not in head.lower()
    assert status(good) == b"200"


def test_only_loopback_listens(holding: Served):
    """By the kernel's own table of sockets."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    port = f"{holding.server.port:04X}"
    places = [row[1].split(":")[0] for row in rows if row[1].endswith(f":{port}") and row[3] == "0A"]
    assert places == ["0100007F"]
    tcp6 = Path("/proc/net/tcp6")
    if tcp6.exists():
        listening = [line for line in tcp6.read_text(encoding="ascii").splitlines()[1:] if line.split()[3] == "0A"]
        assert not [line for line in listening if line.split()[1].endswith(f":{port}")]


def crawl(server: Server, core: Planted) -> None:
    """Asks everything that can be asked."""
    server.ask("")
    server.ask("api/pack")
    listed = server.get("api/maps?limit=500")["maps"]
    addresses = [row["address"] for row in listed[:40]] + [one["address"] for one in core.truth["maps"]]
    addresses = [one if isinstance(one, str) else f"{one:#x}" for one in addresses]
    addresses += [f"{at:#x}" for name, at in core.truth.items() if name.startswith("at ")]
    for address in addresses:
        for question in ("address", "map", "chains", "pack/map", "pack/object"):
            server.ask(f"api/{question}/{address}")
    server.ask("api/types?limit=500")
    server.ask("api/goroutines?limit=500")
    for word in (core.marker, core.marker[:4], urllib.parse.quote(core.marker * 4)):
        for page in ("maps", "types"):
            found = server.get(f"api/{page}?search={word}")
            assert found["matching"] == 0
    nodes = [0]
    for _ in range(12):
        branch = server.get(f"api/dominators?node={nodes.pop(0)}&limit=500")
        nodes += [row["node"] for row in branch["rows"] if row["below"]][:4]
        if not nodes:
            break


def test_contents_come_only_where_they_were_allowed(secret: tuple[Server, Planted, bool]):
    server, core, shows = secret
    crawl(server, core)
    assert not core.found_in(b"\n".join(server.heard))
    strings = next(one["address"] for one in core.truth["maps"] if one["name"] == "strings")
    words = next(at for name, at in core.truth.items() if name == "at fixed")
    for address in (strings, words):
        address = address if isinstance(address, str) else f"{address:#x}"
        answer = server.ask(f"api/contents/{address}")
        if not shows:
            assert answer.status == 404
            assert "--show-contents" in answer.json["hint"]
            assert not core.found_in(answer.body)
        else:
            assert answer.status == 200
            entries = answer.json["entries"]
            assert 0 < len(entries) <= 10
            assert all(len(one["value"]) < 300 for one in entries)
    if shows:
        told = server.get(f"api/contents/{strings if isinstance(strings, str) else hex(strings)}")
        assert core.marker * 4 in told["entries"][0]["key"]
        assert told["more"] == 2000 - len(told["entries"])
        fields = {one["key"]: one["value"] for one in server.get(f"api/contents/{words:#x}")["entries"]}
        assert fields[".name"] == f'"{core.marker * 4}"'
        assert fields[".fixed"] == "main.array, 32 bytes"
        assert fields[".next"].startswith("0x")
    server.process.send_signal(signal.SIGINT)
    _, said = server.process.communicate(timeout=60)
    assert server.process.returncode == 0
    assert not core.found_in(said.encode())
    assert ("--show-contents" in said) == shows
    assert server.token not in said


def test_a_live_process_goes_on_and_nothing_is_left(tmp_path: Path):
    """Ctrl-C in the middle of answering: status 0, no file, no process, the port is free again."""
    with ticking(Variant("1.26"), tmp_path) as ticker:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        with serving("--pid", str(ticker.pid), folder=scratch) as server:
            ticker.assert_goes_on()
            assert server.get("api/maps?limit=1")["total"] > 0
            assert not list(scratch.iterdir())
            connection = socket.create_connection(("127.0.0.1", server.port), 30)
            connection.sendall(f"GET /{server.token}/api/types HTTP/1.1\r\nHost: 127".encode())  # unfinished
            status, said = server.end()
            connection.close()
        assert status == 0, said
        assert "Traceback" not in said
        assert server.token not in said
        assert not list(scratch.iterdir())
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", server.port))
        ticker.assert_goes_on()


def test_a_heap_dump_is_served_and_the_browser_opened(tmp_path: Path):
    executable = harness.build("holding", Variant("1.26"))
    with harness.running(executable, folder=tmp_path) as program:
        dump = harness.take_core(program, "dump", tmp_path)
    seen = tmp_path / "seen"
    opener = tmp_path / "browser"
    opener.write_text(f'#!/bin/sh\nprintf %s "$1" > {seen}.new && mv {seen}.new {seen}\n', encoding="ascii")
    opener.chmod(0o700)
    with serving(dump, executable, "--open", browser=f"{opener} %s") as server:
        told = server.get(f"api/address/{program.truth['cases']['direct']:#x}")
        assert [step["name"] for step in told["chain"]] == ["main.direct", None]
        assert server.ask("").status == 200
        status, _ = server.end()
        assert status == 0
        assert seen.read_text(encoding="ascii") == server.url


def test_answers_are_bounded(tmp_path: Path):
    """The largest of each kind, of a program with thousands of maps: sizes, not times."""
    executable = harness.build("maptypes", Variant("1.26"))
    with harness.running(executable, folder=tmp_path) as program:
        core = harness.take_core(program, "capture", tmp_path)
    with serving(core, executable) as server:
        largest = server.get("api/maps?sort=bytes&limit=500")
        assert largest["total"] > 1000
        for query in ("sort=bytes&limit=500", "sort=type&limit=500&offset=500", "search=map&limit=500"):
            answer = server.ask(f"api/maps?{query}")
            assert len(answer.json["maps"]) == 500
            assert len(answer.body) < 2_000_000
        assert len(server.ask("").body) < 600_000
        assert len(server.ask("api/pack").body) < 5_000_000
        for path in ("api/dominators?limit=500", "api/types?limit=500"):
            answer = server.ask(path)
            assert len(answer.json.get("rows") or answer.json["types"]) <= 500
            assert len(answer.body) < 500_000
        for row in largest["maps"][:10]:
            assert len(server.ask(f"api/pack/map/{row['address']}").body) < 500_000
            assert len(server.ask(f"api/address/{row['address']}").body) < 50_000
            assert len(server.ask(f"api/chains/{row['address']}").body) < 2_000_000


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--host", "0.0.0.0"], "loopback only"),
        (["--host", "192.0.2.1", "--port", "8000"], "loopback only"),
        (["--port", "70000"], "port"),
    ],
)
def test_it_refuses_other_addresses(words: list[str], error: str, capsys: pytest.CaptureFixture[str]):
    """Before it looks at the evidence, and with the line that helps."""
    assert main(["serve", "/nonexistent", *words]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert error in said.err
    if "--host" in words:
        assert "ssh -L" in said.err


def test_evidence_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    wrong = tmp_path / "wrong"
    wrong.write_bytes(os.urandom(5000))
    assert main(["serve", str(wrong)]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert "hint:" in said.err
