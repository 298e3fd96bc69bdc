"""How a kind cluster is to be: the options, the configuration file they give, and the mark by which we know ours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from conformance.host.engine import ENGINES, EngineName
from conformance.model import ModelError

MARK: Final = "binding-conformance/cluster"
"""Label of the nodes of a cluster that we made; its value is the digest of how it was made."""

CERTS: Final = "/etc/containerd/certs.d"
DEFAULT_NAME: Final = "binding-conformance"


class KindOptionError(ModelError):
    """An option of ``--kind`` that cannot be; names it, its value and what it can be."""


@dataclass(frozen=True)
class KindOptions:
    """What ``--kind NAME=VALUE`` can say, and the two releases.

    ``engine`` None: the one that answers. ``bundle`` is a directory of ``images save``, ``manifests`` one of manifests;
    ``mirrors`` maps the host in a reference to the base URL of the registry to ask first.
    """

    name: str = DEFAULT_NAME
    engine: EngineName | None = None
    ip_family: Literal["ipv4", "dual"] = "ipv4"
    multus: Literal["thin", "thick"] = "thin"
    bundle: Path | None = None
    manifests: Path | None = None
    mirrors: Mapping[str, str] = field(default_factory=dict)
    require_digests: bool = False
    kubevirt_version: str = ""
    kubernetes_version: str = ""

    @classmethod
    def parse(cls, words: Iterable[str], *, kubevirt_version: str = "", kubernetes_version: str = "") -> KindOptions:
        """From ``NAME=VALUE`` words. Raises KindOptionError."""
        options = cls(kubevirt_version=kubevirt_version, kubernetes_version=kubernetes_version)
        for word in words:
            name, equals, value = word.partition("=")
            if name not in _OPTIONS or not equals or not value:
                raise KindOptionError(f"--kind {word}: write NAME=VALUE, with NAME one of {', '.join(_OPTIONS)}")
            options = _OPTIONS[name](options, word, value)
        return options


def _one_of(attribute: str, values: tuple[str, ...]) -> Callable[[KindOptions, str, str], KindOptions]:
    def take(options: KindOptions, word: str, value: str) -> KindOptions:
        if value not in values:
            raise KindOptionError(f"--kind {word}: {value} is not one of {', '.join(values)}")
        return replace(options, **{attribute: value})

    return take


def _directory(attribute: str) -> Callable[[KindOptions, str, str], KindOptions]:
    def take(options: KindOptions, word: str, value: str) -> KindOptions:
        path = Path(value).expanduser().absolute()
        if not path.is_dir():
            raise KindOptionError(f"--kind {word}: {path} is no directory")
        return replace(options, **{attribute: path})

    return take


def _name(options: KindOptions, word: str, value: str) -> KindOptions:
    if not all(c.isalnum() or c in "-." for c in value) or value != value.lower():
        raise KindOptionError(f"--kind {word}: a cluster's name has lower-case letters, digits, dots and hyphens")
    return replace(options, name=value)


def _mirror(options: KindOptions, word: str, value: str) -> KindOptions:
    host, equals, url = value.partition("=")
    if not host or not equals or not url.startswith(("http://", "https://")):
        raise KindOptionError(f"--kind {word}: write mirror=HOST=URL, for instance mirror=quay.io=http://10.0.0.1:5000")
    return replace(options, mirrors={**options.mirrors, host: url})


def _require(options: KindOptions, word: str, value: str) -> KindOptions:
    if value not in ("yes", "no"):
        raise KindOptionError(f"--kind {word}: {value} is not one of yes, no")
    return replace(options, require_digests=value == "yes")


_OPTIONS: dict[str, Callable[[KindOptions, str, str], KindOptions]] = {
    "name": _name,
    "engine": _one_of("engine", ENGINES),
    "ip-family": _one_of("ip_family", ("ipv4", "dual")),
    "multus": _one_of("multus", ("thin", "thick")),
    "bundle": _directory("bundle"),
    "manifests": _directory("manifests"),
    "mirror": _mirror,
    "require-digests": _require,
}


def fingerprint(options: KindOptions) -> str:
    """Twelve hexadecimal digits of what a cluster is made of: two clusters with the same are interchangeable."""
    left_out = {"engine", "bundle", "manifests", "require_digests"}
    made = {f.name: getattr(options, f.name) for f in fields(options) if f.name not in left_out}
    return hashlib.sha256(json.dumps(made, sort_keys=True, default=dict).encode()).hexdigest()[:12]


def configuration(options: KindOptions, directory: Path, image: str, certs: Path | None) -> dict[str, Any]:
    """The configuration for ``kind create cluster``: the file of ``directory``, with the node image, our mark, and the
    mirrors' ``hosts.toml`` files (below ``certs``) mounted where containerd looks for them.
    """
    document: dict[str, Any] = yaml.safe_load((directory / f"{options.ip_family}.yaml").read_text(encoding="utf-8"))
    for node in document["nodes"]:
        node["image"] = image
        node["labels"] = {**node.get("labels", {}), MARK: fingerprint(options)}
        if certs is not None:
            mount = {"hostPath": str(certs), "containerPath": CERTS, "readOnly": True}
            node["extraMounts"] = [*node.get("extraMounts", []), mount]
    return document


def write_certs(mirrors: Mapping[str, str], directory: Path) -> Path | None:
    """One ``HOST/hosts.toml`` per mirror: containerd asks the mirror first and the registry itself after it."""
    if not mirrors:
        return None
    for host, url in mirrors.items():
        place = directory / host
        place.mkdir(parents=True, exist_ok=True)
        server = "https://registry-1.docker.io" if host == "docker.io" else f"https://{host}"
        text = f'server = "{server}"\n\n[host."{url.rstrip("/")}"]\n  capabilities = ["pull", "resolve"]\n'
        (place / "hosts.toml").write_text(text, encoding="utf-8")
    return directory
