"""The images and CNI plugins that a definition brings, and what can be wrong with them."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from conformance.model.binding import Artifacts, CniPluginArtifact, ImageArtifact
from conformance.model.definition.files import ArtifactsFile, CniPluginFile, ImageFile
from conformance.model.definition.findings import FieldPath, Findings

_SEARCH_PATH = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")
_MAX_LINKS = 16

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
    layer = _absolute(directory / image.layer)
    if not layer.is_dir():
        what = "the layer is no directory" if layer.exists() else "the layer does not exist"
        fix = "name a directory, relative to the definition's directory"
        findings.error((*path, "layer"), what, fix, value=image.layer)
    elif image.command:
        _check_command(layer, image.command[0], (*path, "command", 0), findings)
    elif is_sidecar:
        findings.error(
            (*path, "command"),
            "the sidecar's image has no command",
            "add the command that the image starts with; KubeVirt gives a sidecar none",
        )
    return ImageArtifact(image.name, layer, tuple(image.command), dict(image.env))


def _check_command(layer: Path, command: str, path: FieldPath, findings: Findings) -> None:
    found = find_in_layer(layer, command)
    if found is None:
        fix = f"add it to {layer}, or name a file that is there by its absolute path in the image"
        findings.error(path, "the command does not exist in the layer", fix, value=command)
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
