"""Settings of the watch: what they mean, and that what is wrong is said with file, line, column and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from mapscope.fleet.config import load
from mapscope.fleet.marks import ConfigError

GOOD = """\
global:
  scrape_interval: 1m30s
scrape_configs:
- job_name: shop
  executables: [shop, /srv/*/shop]
  goroutine_path: null
  authorization: {credentials_file: token}
  static_configs:
  - targets: ["one:6060", "[::1]:6060"]
    labels: {service: checkout, zone: 1}
- job_name: pods
  scrape_interval: 5s
  kubernetes_sd_configs:
  - role: pod
    namespaces: {names: [a, b]}
    selectors: [{role: pod, field: spec.nodeName=here}]
store: {path: kept/store.db}
retention: {profiles: 1d, max_size: 5GiB}
"""


def test_a_file_in_prometheus_style(tmp_path: Path):
    path = tmp_path / "fleet.yml"
    path.write_text(GOOD)
    config = load(str(path))
    shop, pods = config.scrape_configs
    assert (config.interval(shop), config.interval(pods)) == (90.0, 5.0)
    assert (config.timeout(shop), config.timeout(pods)) == (10.0, 5.0)  # of global, but no more than the interval
    assert config.goroutine_interval(shop) == 450.0
    assert shop.executables == [str(tmp_path / "shop"), "/srv/*/shop"]
    assert shop.goroutine_path is None
    assert shop.authorization is not None
    assert shop.authorization.credentials_file == str(tmp_path / "token")
    assert shop.static_configs[0].labels == {"service": "checkout", "zone": "1"}
    assert pods.kubernetes_sd_configs[0].selectors[0].field == "spec.nodeName=here"
    assert config.store.path == str(tmp_path / "kept" / "store.db")
    assert (config.retention.profiles, config.retention.max_size) == (86400.0, 5 << 30)


def test_the_store_lies_beside_the_file(tmp_path: Path):
    path = tmp_path / "fleet.yml"
    path.write_text("scrape_configs: []\n")
    assert load(str(path)).store.path == str(tmp_path / "mapscope.db")


JOB = "scrape_configs:\n- job_name: a\n"


@pytest.mark.parametrize(
    ("text", "place", "words", "hint"),
    [
        ("scrape_configs: []\nglobal:\n  scrape_intervall: 5s\n", "3:3", "unknown key scrape_int", "scrape_interval?"),
        ("scrape_config: []\n", "1:1", "unknown key scrape_config", "scrape_configs?"),
        ("scrape_configs: []\nfrobnicate: 1\n", "2:1", "unknown key frobnicate", "known here: scrape_configs, global"),
        ("global: {}\n", "1:1", "lacks scrape_configs", "add scrape_configs"),
        ("scrape_configs: []\nglobal: {scrape_interval: 15}\n", "2:27", "'15' is no time", "write 15s"),
        ("scrape_configs: []\nglobal: {scrape_interval: soon}\n", "2:27", "'soon' is no time", "30s"),
        ("scrape_configs: []\nglobal: {scrape_interval: 5s, scrape_timeout: 6s}\n", "2:47", "above", "shorter"),
        (JOB + "  scrape_timeout: 2m\n", "3:19", "scrape_timeout is above scrape_interval (60s)", "shorter"),
        (JOB + "  static_configs:\n  - targets: [http://x:1]\n", "4:15", "is a URL", "HOST:PORT"),
        (JOB + "  static_configs:\n  - targets: [x]\n", "4:15", "is not HOST:PORT", "HOST:PORT"),
        (JOB + "  static_configs:\n  - targets: ['x:70000']\n", "4:15", "has no such port", "HOST:PORT"),
        (JOB + "  static_configs: {targets: []}\n", "3:19", "static_configs is a list", "dash"),
        (JOB + "  scheme: ftp\n", "3:11", "scheme cannot be 'ftp'", "http or https"),
        (JOB + "  heap_path: debug\n", "3:14", "is no path", "/debug/pprof"),
        (JOB + "  headers: {'a b': c}\n", "3:12", "cannot be sent", "words"),
        (JOB + "  tls_config: {cert_file: x}\n", "3:27", "go together", "both"),
        (JOB + "  tls_config: {insecure_skip_verify: 1}\n", "3:38", "true or false", "true"),
        (JOB + "- job_name: a\n", "3:13", "two jobs are called 'a'", "own name"),
        (JOB + "  job_name: b\n", "3:3", "job_name is there twice", "line 2"),
        ("scrape_configs:\n- job_name: yes\n", "2:13", "is a text, not 'yes'", "quotes"),
        ("scrape_configs: []\nlimits: {concurrency: 0}\n", "2:23", "concurrency is 0", "1 or more"),
        ("scrape_configs: []\nlimits: {places: -1}\n", "2:18", "whole number", "10"),
        ("scrape_configs: []\nlimits: {response_size: huge}\n", "2:25", "'huge' is no size", "500MB"),
        ("scrape_configs: []\nstore: {url: mysql://x}\n", "2:14", "not one of PostgreSQL", "postgresql://"),
        ("scrape_configs: []\nstore: {url: 'postgresql://u:pw@h/d'}\n", "2:14", "holds a password", "password_file"),
        ("scrape_configs: []\nstore: {url: 'postgresql://h/d', path: x}\n", "2:14", "two stores", "keep one"),
        ("scrape_configs: []\nstore: {growth: s.yaml, path: x}\n", "2:17", "growth are two stores", "keep one"),
        ("scrape_configs: []\nstore: {growth: store.db}\n", "2:17", "names no .yaml", "*.yaml"),
        ("scrape_configs: []\nstore: {growth: s.yml, password_file: p}\n", "2:39", "belongs to url", ".pgpass"),
        ("scrape_configs: []\nweb: {listen: here}\n", "2:15", "is not HOST:PORT", "127.0.0.1:9719"),
        ("scrape_configs: [\n", "2:1", "no YAML", "quotes"),
        ("a: b: c\n", "1:5", "no YAML", "quotes"),
        ("- a\n", "1:1", "has keys, not a list", "KEY: VALUE"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text: str, place: str, words: str, hint: str, tmp_path: Path):
    path = tmp_path / "fleet.yml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(str(path))
    assert str(caught.value).startswith(f"{path}:{place}: ")
    assert words in str(caught.value)
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)
    assert "pw@" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is empty"),
        (b"\xff\xfe", "no UTF-8"),
        (b"a: \x00", "no YAML"),
        (b"[" * 1100, "no YAML"),
        (b"!!python/object/apply:os.system [ls]", "has keys"),
        (b"x: " + b" " * (5 << 20), "more than 4 MB"),
    ],
)
def test_files_that_are_none(raw: bytes, words: str, tmp_path: Path):
    path = tmp_path / "fleet.yml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        load(str(path))
    assert words in str(caught.value) or "nested too deeply" in str(caught.value)


def test_aliases_do_not_grow_without_end(tmp_path: Path):
    path = tmp_path / "fleet.yml"
    lines = ['a0: &a0 ["x:1"]'] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    text = "scrape_configs:\n- job_name: a\n  static_configs:\n"
    text += f"  - targets: &t [{', '.join(['x'] * 400)}]\n".replace("x", "'x:1'") + "  - targets: *t\n" * 600
    path.write_text(text)
    with pytest.raises(ConfigError, match="more than 200,000 values"):
        load(str(path))
    path.write_text("\n".join(lines) + "\nscrape_configs: *a8\n")
    with pytest.raises(ConfigError, match="unknown key a0"):
        load(str(path))


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(ConfigError, match="No such file"):
        load(str(tmp_path / "none.yml"))


@pytest.mark.parametrize(("interval", "timeout"), [("2s", 2.0), ("10s", 10.0), ("60s", 10.0)])
def test_a_timeout_that_is_not_given_is_no_longer_than_the_interval(tmp_path: Path, interval: str, timeout: float):
    path = tmp_path / "fleet.yml"
    path.write_text(f"global: {{scrape_interval: {interval}}}\n{JOB}", encoding="utf-8")
    config = load(str(path))
    assert config.timeout(config.scrape_configs[0]) == timeout
