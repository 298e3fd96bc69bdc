"""The `kind` command: clusters made and removed, images put into their nodes, their logs taken out."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from conformance.host.engine import Engine
from conformance.host.tool import Tool
from conformance.images.lock import LockedImage

OLDEST: Final = (0, 27)
"""From this release on kind's containerd reads ``/etc/containerd/certs.d``, which the mirrors need."""

_CTR: Final = ("ctr", "--namespace=k8s.io", "images")

_CREATE_SECONDS = 1200.0
_LOAD_SECONDS = 1800.0
_LOGS_SECONDS = 300.0


class Kind:
    """One cluster by name, on one engine."""

    def __init__(self, name: str, engine: Engine) -> None:
        self.name, self.engine = name, engine
        self._tool = kind_tool(engine)

    def exists(self) -> bool:
        """Whether a cluster of that name is there, whoever made it."""
        return self.name in self._tool.run("get", "clusters", seconds=120).split()

    def create(self, config: Path, kubeconfig: Path, progress: Callable[[str], None]) -> None:
        """Make the cluster; its kubeconfig goes to a file of its own, and the user's stays as it is. Raises ToolFailed.

        The nodes are kept when it fails, so that their logs can be had: :meth:`delete` them.
        """
        self._tool.run(
            *("create", "cluster", "--name", self.name, "--config", str(config)),
            *("--kubeconfig", str(kubeconfig), "--retain", "--wait", "0s"),
            seconds=_CREATE_SECONDS,
            progress=progress,
        )

    def kubeconfig(self) -> str:
        """The text of a kubeconfig for the cluster."""
        return self._tool.run("get", "kubeconfig", "--name", self.name)

    def nodes(self) -> list[str]:
        """The names of its node containers, which are those of the Kubernetes nodes."""
        return self._tool.run("get", "nodes", "--name", self.name).split()

    def delete(self, kubeconfig: Path) -> None:
        """Remove the cluster; does nothing when there is none."""
        self._tool.run("delete", "cluster", "--name", self.name, "--kubeconfig", str(kubeconfig), seconds=300)

    def load(self, archive: Path, images: Iterable[LockedImage], progress: Callable[[str], None]) -> None:
        """Put an archive into every node, and name each image by its digest too.

        An archive knows images by tag; what a manifest names by digest would be pulled all the same.
        """
        progress(f"loading {archive.name} into the nodes")
        self._tool.run("load", "image-archive", str(archive), "--name", self.name, seconds=_LOAD_SECONDS)
        pinned = [image for image in images if image.reference != image.name]
        for node in self.nodes():
            there = set(self.engine.exec(node, *_CTR, "list", "--quiet").split())
            tags = [
                shlex.join([*_CTR, "tag", "--force", image.name, f"{image.repository}@{image.digest}"])
                for image in pinned
                if image.name in there  # an archive holds what was asked for, which may be less than the lock
            ]
            if tags:
                self.engine.exec(node, "sh", "-ec", "\n".join(tags))

    def load_image(self, name: str) -> None:
        """Put one image of the engine into every node.

        By an archive: ``kind load docker-image`` asks Docker for it on every engine (kind #2760, #3822).
        """
        with tempfile.TemporaryDirectory() as directory:
            archive = Path(directory) / "image.tar"
            self.engine.save([name], archive)
            self._tool.run("load", "image-archive", str(archive), "--name", self.name, seconds=_LOAD_SECONDS)

    def export_logs(self, directory: Path) -> None:
        """The logs of the nodes and of every pod on them, into a directory."""
        self._tool.run("export", "logs", str(directory), "--name", self.name, seconds=_LOGS_SECONDS)


def kind_tool(engine: Engine | None) -> Tool:
    """The command, told which engine to use."""
    return Tool("kind", {"KIND_EXPERIMENTAL_PROVIDER": engine.name} if engine is not None else None)


def kind_version(tool: Tool) -> tuple[str, tuple[int, ...]]:
    """``kind version``: as it prints it, and its numbers. Raises ToolMissing or ToolFailed."""
    text = tool.run("version").strip()
    found = re.search(r"v(\d+)\.(\d+)\.(\d+)", text)
    return text, tuple(map(int, found.groups())) if found else ()
