"""The suite's image as the Dockerfile makes it, without a registry: Python, the project's wheel, what that needs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Final

import yaml
from packaging.requirements import Requirement

from tests.providers.deployed import BASE
from tests.providers.somebody import ROOT

IMAGE: Final = "localhost/kubevirt-binding-conformance/suite:0.1.0"

_PROJECT: Final = "kubevirt-binding-conformance"
_PYTHON: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
_LEFT_OUT: Final = ("site-packages", "test", "tests", "idlelib", "tkinter", "ensurepip", "config-*", "__pycache__")
_PASSWD: Final = "root:x:0:0:root:/root:/bin/sh\nconformance:x:10001:10001::/home/conformance:/bin/sh\n"


def suite_image(directory: Path) -> Path:
    """A definition that brings the image to a cluster without a registry."""
    rootfs = directory / "image"
    packages = rootfs / "usr/local/lib" / _PYTHON / "site-packages"
    _add_python(rootfs)
    _add_project(directory, rootfs)
    for required in _required_by(distribution(_PROJECT)):
        _add_distribution(required, packages)
    _add_libraries(rootfs)
    for name in ("etc", "tmp", "home/conformance", "reports", "proc", "dev", "sys"):
        (rootfs / name).mkdir(parents=True, exist_ok=True)
    (rootfs / "tmp").chmod(0o1777)
    (rootfs / "etc/passwd").write_text(_PASSWD)
    definition = yaml.safe_load((BASE / "binding.yaml").read_text())
    image = {"name": IMAGE, "rootfs": "image", "command": ["/usr/local/bin/binding-conformance"], "env": _environment()}
    definition["spec"]["artifacts"] = {"images": [image]}
    path = directory / "suite-image.yaml"
    path.write_text(yaml.safe_dump(definition))
    return path


def _copied() -> list[str]:
    """What the Dockerfile copies to build the wheel from."""
    build = _dockerfile().partition("RUN pip wheel")[0]
    return [word for line in re.findall(r"^COPY (.+)$", build, re.MULTILINE) for word in line.split()[:-1]]


def _environment() -> dict[str, str]:
    (line,) = re.findall(r"^ENV (.+)$", _dockerfile(), re.MULTILINE)
    named = dict(word.split("=", 1) for word in line.split())
    return {"LD_LIBRARY_PATH": "/usr/local/lib", **named}


def _dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text(encoding="utf-8")


def _add_python(rootfs: Path) -> None:
    base = Path(sys.base_prefix)
    shutil.copytree(
        base / "lib" / _PYTHON,
        rootfs / "usr/local/lib" / _PYTHON,
        symlinks=True,
        ignore=shutil.ignore_patterns(*_LEFT_OUT),
    )
    programs = rootfs / "usr/local/bin"
    programs.mkdir(parents=True)
    shutil.copy(base / "bin" / _PYTHON, programs / "python3")


def _add_project(directory: Path, rootfs: Path) -> None:
    """The wheel, built from what the Dockerfile copies, and installed with its command."""
    sources = directory / "src"
    sources.mkdir()
    for name in _copied():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, sources / name)
    wheels = directory / "wheels"
    _pip("wheel", "--no-deps", "--wheel-dir", wheels, sources)
    (wheel,) = wheels.glob("*.whl")
    _pip(
        "install",
        "--no-deps",
        "--no-index",
        "--no-compile",
        "--ignore-installed",
        "--root",
        rootfs,
        "--prefix",
        "/usr/local",
        wheel,
    )
    command = rootfs / "usr/local/bin/binding-conformance"
    _, _, rest = command.read_text().partition("\n")
    command.write_text(f"#!/usr/local/bin/python3\n{rest}")


def _pip(*words: object) -> None:
    line = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _required_by(found: Distribution) -> Iterator[Distribution]:
    """Everything that a distribution needs to run, without the extras that nobody asked for."""
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(text) for text in found.requires or []]
    while waiting:
        wanted = waiting.pop()
        for extra in ("", *wanted.extras):
            if (wanted.name.lower(), extra) in seen or not _applies(wanted):
                continue
            seen.add((wanted.name.lower(), extra))
            needed = distribution(wanted.name)
            more = map(Requirement, needed.requires or [])
            waiting += [one for one in more if one.marker is None or one.marker.evaluate({"extra": extra})]
            if not extra:
                yield needed


def _applies(wanted: Requirement) -> bool:
    return wanted.marker is None or "extra" in str(wanted.marker) or wanted.marker.evaluate()


def _add_distribution(found: Distribution, packages: Path) -> None:
    for file in found.files or []:
        source = Path(str(found.locate_file(file)))
        if ".." in file.parts or "__pycache__" in file.parts or not source.exists():
            continue
        (packages / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, packages / file)


def _add_libraries(rootfs: Path) -> None:
    """The shared libraries of the system that Python and its modules are linked with."""
    modules = [path for path in (rootfs / "usr/local").rglob("*.so*") if path.is_file()]
    shown = subprocess.run(
        ["ldd", sys.executable, *map(str, modules)], capture_output=True, text=True, timeout=60, check=False
    ).stdout
    for name in sorted(set(re.findall(r"(/\S+) \(0x", shown))):
        library = Path(name)
        if library.is_relative_to(rootfs):
            continue
        ours = library.is_relative_to(sys.base_prefix)
        target = rootfs / "usr/local/lib" / library.name if ours else rootfs / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
