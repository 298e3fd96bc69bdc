"""How a kind cluster is to be: the options, the configuration file they give, and the mark by which we know ours."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

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
        given = _Words(words)
        return cls(
            name=given.name(),
            engine=given.one_of("engine", (None, *ENGINES)),
            ip_family=given.one_of("ip-family", ("ipv4", "dual")),
            multus=given.one_of("multus", ("thin", "thick")),
            bundle=given.directory("bundle"),
            manifests=given.directory("manifests"),
            mirrors=given.mirrors(),
            require_digests=given.one_of("require-digests", ("no", "yes")) == "yes",
            kubevirt_version=kubevirt_version,
            kubernetes_version=kubernetes_version,
        )


_NAMES = ("name", "engine", "ip-family", "multus", "bundle", "manifests", "mirror", "require-digests")
_Choice = TypeVar("_Choice")


class _Words:
    """The words as given, looked at by name; of two with one name the later counts (but of ``mirror``)."""

    def __init__(self, words: Iterable[str]) -> None:
        self._values: dict[str, str] = {}
        self._mirrors: list[str] = []
        for word in words:
            name, equals, value = word.partition("=")
            if name not in _NAMES or not equals or not value:
                raise KindOptionError(f"--kind {word}: write NAME=VALUE, with NAME one of {', '.join(_NAMES)}")
            if name == "mirror":
                self._mirrors.append(value)
            self._values[name] = value

    def name(self) -> str:
        value = self._values.get("name", DEFAULT_NAME)
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", value):
            raise KindOptionError(f"--kind name={value}: a name has lower-case letters, digits, dots and hyphens")
        return value

    def one_of(self, name: str, allowed: tuple[_Choice, ...]) -> _Choice:
        """The value among those allowed; the first is the default."""
        if name not in self._values:
            return allowed[0]
        for choice in allowed:
            if choice == self._values[name]:
                return choice
        listed = ", ".join(str(choice) for choice in allowed if choice is not None)
        raise KindOptionError(f"--kind {name}={self._values[name]}: not one of {listed}")

    def directory(self, name: str) -> Path | None:
        if name not in self._values:
            return None
        path = Path(self._values[name]).expanduser().absolute()
        if not path.is_dir():
            raise KindOptionError(f"--kind {name}={self._values[name]}: {path} is no directory")
        return path

    def mirrors(self) -> dict[str, str]:
        found = {}
        for value in self._mirrors:
            host, _, url = value.partition("=")
            if not host or not url.startswith(("http://", "https://")):
                example = "mirror=quay.io=http://registry.example:5000"
                raise KindOptionError(f"--kind mirror={value}: write mirror=HOST=URL, for instance {example}")
            found[host] = url
        return found


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
