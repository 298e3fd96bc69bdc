"""What a binding's definition brings, put into the nodes of a kind cluster.

Images are built where no registry has them, CNI plugins copied to where the runtime looks for them.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Final

from conformance.cluster.kindcli import Kind
from conformance.cluster.provider import ProviderError
from conformance.host.engine import Engine
from conformance.host.tool import ToolFailed
from conformance.images.lock import ImagesLock
from conformance.model import Binding, CniPluginArtifact, ImageArtifact

PLUGINS: Final = "/opt/cni/bin"

_BASE, _BASE_TAG = "docker.io/library/python", "3.13-slim-bookworm"
# a layer may be written in Python, and a hook sidecar speaks gRPC
_PREPARE = "RUN ln -sf /usr/local/bin/python3 /usr/bin/python3 && pip install --no-cache-dir grpcio"


def load_into(kind: Kind, binding: Binding, lock: ImagesLock) -> None:
    """Every image and CNI plugin of the binding, on every node. Raises ToolFailed, or ProviderError for a plugin whose
    interpreter the nodes do not have.
    """
    for image in binding.artifacts.images:
        if image.archive is not None:
            kind.engine.load(image.archive)
        elif not kind.engine.has(image.name):
            build(kind.engine, image, lock.image(_BASE, _BASE_TAG).reference)
        kind.load_image(image.name)
    if binding.artifacts.cni_plugins:
        for node in kind.nodes():
            for plugin in binding.artifacts.cni_plugins:
                _install(kind.engine, node, plugin)


def build(engine: Engine, image: ImageArtifact, base: str) -> None:
    """Build an image from its layer, or all of its files, under the name that manifests use."""
    with tempfile.TemporaryDirectory(prefix="kbc-image-") as name:
        context = Path(name)
        shutil.copytree(image.path, context / "layer", symlinks=True)
        (context / "Dockerfile").write_text(dockerfile(image, base), encoding="utf-8")
        engine.build(context, image.name)


def dockerfile(image: ImageArtifact, base: str) -> str:
    """The Dockerfile of a layer laid over the base."""
    lines = ["FROM scratch"] if image.rootfs else [f"FROM {base}", _PREPARE]
    lines.append("COPY layer/ /")
    lines += [f"ENV {name}={json.dumps(value)}" for name, value in image.env.items()]
    if image.command:
        lines.append(f"ENTRYPOINT {json.dumps(list(image.command))}")
    return "\n".join([*lines, ""])


def _install(engine: Engine, node: str, plugin: CniPluginArtifact) -> None:
    interpreter = _interpreter(plugin.path)
    if interpreter:
        try:
            engine.exec(node, "test", "-x", interpreter)
        except ToolFailed as error:
            raise ProviderError(
                f"CNI plugin {plugin.name} ({plugin.path}) is a script for {interpreter}, which the nodes of kind do "
                "not have; give a program that needs no interpreter, or install the plugin with a DaemonSet among the "
                "definition's manifests"
            ) from error
    target = f"{PLUGINS}/{plugin.name}"
    engine.copy_into(plugin.path, node, target)
    engine.exec(node, "chmod", "755", target)


def _interpreter(path: Path) -> str:
    """The interpreter that a script names in its first line, empty for a program."""
    with path.open("rb") as file:
        first = file.readline(256)
    return first[2:].split()[0].decode("utf-8", "replace") if first.startswith(b"#!") and first[2:].split() else ""
