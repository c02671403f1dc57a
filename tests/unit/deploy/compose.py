"""What ``kustomize build`` makes of a folder, for the few features that ours use. Anything else is an error.

Own, because kustomize comes neither from PyPI nor from npm, and Debian's kubectl has one from before ``patches``.
"""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
KNOWN = {"apiVersion", "kind", "namespace", "resources", "configMapGenerator", "images", "patches"}
CLUSTER_WIDE = {"Namespace", "ClusterRole", "ClusterRoleBinding"}
_KEY = {"containers": "name", "volumes": "name", "ports": "containerPort", "volumeMounts": "mountPath", "env": "name"}
"""Lists that a strategic merge merges by a key (the API's patchMergeKey); all others are replaced."""


def objects(path: Path) -> list[Object]:
    """Every document of a YAML file."""
    with open(path, encoding="utf-8") as stream:
        return [one for one in yaml.safe_load_all(stream) if one is not None]


def build(folder: Path) -> list[Object]:
    """The objects that would be applied."""
    (made,) = objects(folder / "kustomization.yaml")
    assert made.keys() <= KNOWN, made.keys() - KNOWN
    found: list[Object] = []
    for name in made["resources"]:
        target = folder / name
        found += build(target) if target.is_dir() else objects(target)
    for one in made.get("configMapGenerator", []):
        _config_map(found, folder, one, made.get("namespace"))
    for one in made.get("patches", []):
        (patch,) = objects(folder / one["path"])
        matching = [old for old in found if _identity(old) == _identity(patch)]
        assert len(matching) == 1, f"{one['path']} fits {len(matching)} objects"
        found[found.index(matching[0])] = merged(matching[0], patch)
    for old in found:
        if "namespace" in made and old["kind"] not in CLUSTER_WIDE:
            assert old["metadata"].get("namespace", made["namespace"]) == made["namespace"]
        for image in made.get("images", []):
            _image(old, image)
    return found


def merged(old: Any, patch: Any, key: str = "") -> Any:
    """A strategic merge."""
    if isinstance(old, dict) and isinstance(patch, dict):
        out = copy.deepcopy(old)
        for name, value in patch.items():
            out[name] = merged(old[name], value, name) if name in old else copy.deepcopy(value)
        return out
    if isinstance(old, list) and isinstance(patch, list) and key in _KEY:
        by = _KEY[key]
        known = {one[by]: one for one in old}
        for one in patch:
            known[one[by]] = merged(known[one[by]], one) if one[by] in known else one
        return list(known.values())
    return copy.deepcopy(patch)


def _identity(one: Object) -> tuple[str, str, str]:
    return one["kind"], one["metadata"]["name"], one["metadata"].get("namespace", "")


def _config_map(found: list[Object], folder: Path, given: Object, namespace: str | None) -> None:
    data = {name: (folder / name).read_text(encoding="utf-8") for name in given["files"]}
    digest = hashlib.sha256(repr(sorted(data.items())).encode()).hexdigest()[:10]
    base, name = given["name"], f"{given['name']}-{digest}"
    old = [one for one in found if one["kind"] == "ConfigMap" and one["metadata"]["name"].startswith(f"{base}-")]
    assert bool(old) == (given.get("behavior") == "replace")
    before = old[0]["metadata"]["name"] if old else base
    for one in old:
        found.remove(one)
    space = given.get("namespace", namespace)
    found.append(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": space}, "data": data}
    )
    for one in found:
        for volume in one.get("spec", {}).get("template", {}).get("spec", {}).get("volumes", []):
            if volume.get("configMap", {}).get("name") == before:
                volume["configMap"]["name"] = name


def _image(one: Object, image: Object) -> None:
    for container in one.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
        if container["image"] == image["name"]:
            container["image"] = f"{image['newName']}:{image['newTag']}"
