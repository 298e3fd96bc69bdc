"""The images and CNI plugins that a definition brings, and what can be wrong with them."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from conformance.model.binding import Artifacts, CniPluginArtifact, ImageArtifact
from conformance.model.definition.archives import NO_COMMAND, NO_COMMAND_FIX, archive_image
from conformance.model.definition.files import ArtifactsFile, CniPluginFile, ImageFile
from conformance.model.definition.findings import FieldPath, Findings

_SEARCH_PATH = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")
_MAX_LINKS = 16

_CONTENTS = ("layer", "rootfs", "archive")
_IMAGES: FieldPath = ("spec", "artifacts", "images")
_PLUGINS: FieldPath = ("spec", "artifacts", "cniPlugins")


def load_artifacts(directory: Path, artifacts: ArtifactsFile, sidecar_image: str, findings: Findings) -> Artifacts:
    """Resolve the artifacts of a definition against its directory, noting what is missing or cannot be run.

    ``sidecar_image`` is the registered one: its image needs a command, since KubeVirt gives the container none.
    """
    images = tuple(
        _image(directory, image, image.name == sidecar_image, (*_IMAGES, index), findings)
        for index, image in enumerate(artifacts.images)
    )
    plugins = tuple(
        _plugin(directory, plugin, (*_PLUGINS, index), findings) for index, plugin in enumerate(artifacts.cni_plugins)
    )
    _check_doubles([image.name for image in images], _IMAGES, findings)
    _check_doubles([plugin.name for plugin in plugins], _PLUGINS, findings)
    return Artifacts(images, plugins)


def find_in_layer(layer: Path, command: str) -> Path | None:
    """Return the file of a layer that a command names, None if the layer has none.

    The command is an absolute path or a bare name looked up in the directories of the usual PATH. Symbolic links are
    followed as they lead inside the container: an absolute one starts at the layer.
    """
    if "/" in command and not command.startswith("/"):
        return None
    names = [command.lstrip("/")] if command.startswith("/") else [f"{place}/{command}" for place in _SEARCH_PATH]
    for name in names:
        found = _follow(layer, PurePosixPath("/", name))
        if found is not None:
            return found
    return None


def _follow(layer: Path, inside: PurePosixPath) -> Path | None:
    for _ in range(_MAX_LINKS):
        inside = PurePosixPath(os.path.normpath(inside))
        path = layer / inside.relative_to("/")
        if not path.is_symlink():
            return path if path.exists() else None
        inside = inside.parent / os.readlink(path)
    return None


def _image(directory: Path, image: ImageFile, is_sidecar: bool, path: FieldPath, findings: Findings) -> ImageArtifact:
    given = {kind: value for kind in _CONTENTS if (value := getattr(image, kind)) is not None}
    if len(given) != 1:
        what = "the image has no content" if not given else f"the image has {' and '.join(given)}"
        findings.error(path, what, f"give exactly one of {', '.join(_CONTENTS)}", value=image.name)
        return ImageArtifact(image.name, layer=directory)
    ((kind, value),) = given.items()
    where = _absolute(directory / value)
    plain = ImageArtifact(
        image.name,
        command=tuple(image.command),
        env=dict(image.env),
        layer=where if kind == "layer" else None,
        rootfs=where if kind == "rootfs" else None,
        archive=where if kind == "archive" else None,
    )
    if kind == "archive":
        return archive_image(plain, value, is_sidecar, path, findings)
    if not where.is_dir():
        what = f"the {kind} is no directory" if where.exists() else f"the {kind} does not exist"
        fix = "name a directory, relative to the definition's directory"
        findings.error((*path, kind), what, fix, value=value)
    elif image.command:
        _check_command(where, image.command[0], (*path, "command", 0), findings)
    elif is_sidecar:
        findings.error((*path, "command"), NO_COMMAND, NO_COMMAND_FIX)
    return plain


def _check_command(layer: Path, command: str, path: FieldPath, findings: Findings) -> None:
    found = find_in_layer(layer, command)
    if found is None:
        fix = f"add it to {layer}, or name a file that is there by its absolute path in the image"
        findings.error(path, "the command does not exist in the image", fix, value=command)
    elif not found.is_file():
        findings.error(path, "the command is no file", "name the executable itself", value=command)
    elif not os.access(found, os.X_OK):
        findings.error(path, "the command is not executable", f"chmod +x {found}", value=command)


def _plugin(directory: Path, plugin: CniPluginFile, path: FieldPath, findings: Findings) -> CniPluginArtifact:
    executable = _absolute(directory / plugin.path)
    if not executable.is_file():
        what = "this is no file" if executable.exists() else "the CNI plugin does not exist"
        fix = "name the executable, relative to the definition's directory"
        findings.error((*path, "path"), what, fix, value=plugin.path)
    elif not os.access(executable, os.X_OK):
        findings.error((*path, "path"), "the CNI plugin is not executable", f"chmod +x {executable}", value=plugin.path)
    return CniPluginArtifact(plugin.name, executable)


def _absolute(path: Path) -> Path:
    """The absolute path without ``..``, links kept: what messages show."""
    return Path(os.path.abspath(path))


def _check_doubles(names: list[str], path: FieldPath, findings: Findings) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            findings.error((*path, index, "name"), "the name is there twice", "give each a name of its own", value=name)
