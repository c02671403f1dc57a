"""The manifests: valid by the schemas of the API, no right too many, and settings that the watch itself takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from mapscope.fleet.config import load
from mapscope.units import parse_size
from tests.unit.deploy.compose import Object, build

FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "kubernetes"
OVERLAYS = ("base", "edge")
VERSIONS = ("1.27", "1.33")


@pytest.fixture(scope="module", params=OVERLAYS)
def applied(request: pytest.FixtureRequest) -> list[Object]:
    """What would be applied."""
    return build(FOLDER / request.param)


def of_kind(applied: list[Object], kind: str) -> Object:
    """The only object of this kind."""
    (found,) = [one for one in applied if one["kind"] == kind]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(applied: list[Object], version: str):
    for one in applied:
        kubernetes_validate.validate(one, version, strict=True)
    assert len({(one["kind"], one["metadata"]["name"]) for one in applied}) == len(applied) == 9


def test_the_schemas_tell_what_is_wrong(applied: list[Object]):
    bad = {**of_kind(applied, "Service"), "specc": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(bad, VERSIONS[0], strict=True)


def test_the_account_may_list_pods_and_nothing_else(applied: list[Object]):
    assert of_kind(applied, "ClusterRole")["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
    ]
    binding = of_kind(applied, "ClusterRoleBinding")
    account = of_kind(applied, "ServiceAccount")["metadata"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    ]
    assert binding["roleRef"]["name"] == of_kind(applied, "ClusterRole")["metadata"]["name"]


def test_the_pod_is_restricted(applied: list[Object]):
    """Pod Security Standards, "restricted", and a read-only root file system."""
    pod = of_kind(applied, "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert all(volume.keys() & {"configMap", "persistentVolumeClaim", "emptyDir"} for volume in pod["volumes"])
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"].keys() == {"requests", "limits"}
        assert ":" in container["image"]


def test_the_parts_fit_together(applied: list[Object], request: pytest.FixtureRequest, tmp_path: Path):
    deployment = of_kind(applied, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"].items()
    for kind, selector in (("Service", "selector"), ("NetworkPolicy", "podSelector")):
        found: dict[str, Any] = of_kind(applied, kind)["spec"][selector]
        assert labels >= (found.get("matchLabels") or found).items()
    assert labels >= deployment["selector"]["matchLabels"].items()
    (container,) = deployment["template"]["spec"]["containers"]
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    volumes = {one["name"]: one for one in deployment["template"]["spec"]["volumes"]}
    assert mounts.keys() == volumes.keys()
    config_map = of_kind(applied, "ConfigMap")
    assert volumes["config"]["configMap"]["name"] == config_map["metadata"]["name"]
    claim = of_kind(applied, "PersistentVolumeClaim")
    assert volumes["store"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (tmp_path / "fleet.yml").write_text(config_map["data"]["fleet.yml"])
    config = load(str(tmp_path / "fleet.yml"))
    assert container["args"] == ["watch", f"{mounts['config']}/fleet.yml"]
    assert str(config.store.path).startswith(f"{mounts['store']}/")
    port = int(config.web.listen.rpartition(":")[2])
    assert container["ports"] == [{"name": "metrics", "containerPort": port}]
    assert of_kind(applied, "NetworkPolicy")["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": port}]
    room = parse_size(claim["spec"]["resources"]["requests"]["storage"].replace("Gi", "GiB"))
    assert config.retention.max_size < 0.8 * room
    memory = parse_size(container["resources"]["limits"]["memory"].replace("Mi", "MiB").replace("Gi", "GiB"))
    assert config.store.buffer_size + config.limits.inflated_size < memory / 2


def test_the_edge_is_arm64_and_smaller():
    base, edge = (of_kind(build(FOLDER / name), "Deployment")["spec"]["template"]["spec"] for name in OVERLAYS)
    assert edge["nodeSelector"] == {"kubernetes.io/arch": "arm64"}
    assert "nodeSelector" not in base
    assert edge["containers"][0]["resources"] != base["containers"][0]["resources"]
    assert edge["containers"][0]["securityContext"] == base["containers"][0]["securityContext"]
