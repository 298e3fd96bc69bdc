"""The container engine, Docker or Podman: what kind's nodes run in, and where images are kept before they go there."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from conformance.host.tool import Tool, ToolFailed, ToolMissing
from conformance.kube.outcome import EnvironmentFault

EngineName = Literal["docker", "podman"]
ENGINES: Final[tuple[EngineName, ...]] = ("docker", "podman")

PULL_SECONDS = 900.0
SAVE_SECONDS = 1800.0


class NoEngine(EnvironmentFault):
    """No container engine answers; the message says what each one said."""


@dataclass(frozen=True)
class EngineFacts:
    """What the engine tells of itself. ``memory`` in bytes, 0 where it does not say."""

    version: str
    root: str
    memory: int
    cores: int
    rootless: bool
    cgroup: str
    apparmor: bool


class Engine:
    """One engine's command."""

    def __init__(self, name: EngineName) -> None:
        self.name = name
        self._tool = Tool(name)

    @classmethod
    def choose(cls, wanted: EngineName | None = None) -> Engine:
        """The engine that was asked for, or the first that answers. Raises NoEngine."""
        said = []
        for name in (wanted,) if wanted else ENGINES:
            engine = cls(name)
            try:
                engine.facts()
            except (ToolMissing, ToolFailed) as error:
                said.append(str(error))
                continue
            return engine
        raise NoEngine("\n".join(["no container engine answers:", *said]))

    def facts(self) -> EngineFacts:
        """What `info` says. Raises ToolMissing, or ToolFailed where the engine behind the command does not run."""
        found = json.loads(self._tool.run("info", "--format", "{{json .}}") or "{}")
        facts = _podman_facts(found) if self.name == "podman" else _docker_facts(found)
        if not facts.version:
            # Docker's command answers with status 0 and a complaint when nothing is behind it
            complaint = "; ".join(str(line) for line in found.get("ServerErrors", [])) or "it names no server version"
            raise ToolFailed((self.name, "info"), 0, complaint)
        return facts

    def has(self, reference: str) -> bool:
        """Whether an image is there, without asking a registry."""
        try:
            self._tool.run("image", "inspect", "--format", "{{.Id}}", reference)
        except ToolFailed:
            return False
        return True

    def pull(self, reference: str, progress: Callable[[str], None] | None = None) -> None:
        """Pull an image. Raises ToolFailed with the registry's answer."""
        self._tool.run("pull", "--quiet", reference, seconds=PULL_SECONDS, progress=progress)

    def tag(self, reference: str, name: str) -> None:
        """Give an image a further name."""
        self._tool.run("tag", reference, name)

    def push(self, name: str, progress: Callable[[str], None] | None = None) -> None:
        """Push an image to the registry in its name."""
        self._tool.run("push", name, seconds=PULL_SECONDS, progress=progress)

    def save(self, names: Sequence[str], archive: Path) -> None:
        """Write several images into one archive that `load` and kind read."""
        several = ["--multi-image-archive"] if self.name == "podman" else []
        self._tool.run("save", *several, "--output", str(archive), *names, seconds=SAVE_SECONDS)

    def load(self, archive: Path) -> None:
        """Take in an archive of `save`."""
        self._tool.run("load", "--input", str(archive), seconds=SAVE_SECONDS)

    def build(self, directory: Path, name: str, progress: Callable[[str], None] | None = None) -> None:
        """Build the Dockerfile of a directory under a name."""
        self._tool.run("build", "--tag", name, str(directory), seconds=PULL_SECONDS, progress=progress)

    def exec(self, container: str, *command: str) -> str:
        """Run a command in a running container."""
        return self._tool.run("exec", container, *command)

    def copy_into(self, source: Path, container: str, target: str) -> None:
        """Copy a file into a container."""
        self._tool.run("cp", str(source), f"{container}:{target}")

    def network_mtu(self, network: str) -> int:
        """The MTU that a network is configured with, in bytes; 0 where it says none."""
        try:
            found = json.loads(self._tool.run("network", "inspect", network))
        except (ToolFailed, ValueError):
            return 0
        options = (found[0].get("Options") or found[0].get("options") or {}) if found else {}
        return int(options.get("com.docker.network.driver.mtu") or options.get("mtu") or 0)


def _docker_facts(info: dict[str, Any]) -> EngineFacts:
    security = [str(option) for option in info.get("SecurityOptions") or []]
    return EngineFacts(
        version=str(info.get("ServerVersion") or ""),
        root=str(info.get("DockerRootDir") or ""),
        memory=int(info.get("MemTotal") or 0),
        cores=int(info.get("NCPU") or 0),
        rootless=any("rootless" in option for option in security),
        cgroup=str(info.get("CgroupVersion") or ""),
        apparmor=any("apparmor" in option for option in security),
    )


def _podman_facts(info: dict[str, Any]) -> EngineFacts:
    host, store, security = info.get("host", {}), info.get("store", {}), info.get("host", {}).get("security", {})
    return EngineFacts(
        version=str(info.get("version", {}).get("Version") or ""),
        root=str(store.get("graphRoot") or ""),
        memory=int(host.get("memTotal") or 0),
        cores=int(host.get("cpus") or 0),
        rootless=bool(security.get("rootless")),
        cgroup=str(host.get("cgroupVersion") or "").removeprefix("v"),
        apparmor=bool(security.get("apparmorEnabled")),
    )
