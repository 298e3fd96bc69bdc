"""Images that a definition brings as archives: what they start with, and mistakes in the words of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.model.jsonvalue import JsonObject, JsonValue, get_path
from tests.packing import docker_archive, layer, oci_archive
from tests.unit.model.workbench import Workbench, change, definition

SIDECAR = layer({"sidecar": b"#!"})
FIELD = "spec.artifacts.images[0].archive"


def with_archive(path: Path, **more: JsonValue) -> JsonObject:
    data = definition()
    name = get_path(data, "spec", "artifacts", "images", 0, "name")
    return change(data, "spec.artifacts.images.0", {"name": name, "archive": path.name, **more})


def test_the_archive_says_what_the_image_starts(bench: Workbench) -> None:
    settings = {"Entrypoint": ["/sidecar"], "Cmd": ["-v"], "Env": ["A=1", "B=2"], "User": "107", "WorkingDir": "/w"}
    path = oci_archive(bench.directory / "image.tar", [SIDECAR], "gzip", **settings)
    (image,) = bench.load(with_archive(path, env={"B": "mine"})).artifacts.images
    assert (image.command, image.args, image.user, image.working_directory) == (("/sidecar",), ("-v",), "107", "/w")
    assert image.env == {"A": "1", "B": "mine"}
    assert image.path == path
    (image,) = bench.load(with_archive(path, command=["/other"])).artifacts.images
    assert (image.command, image.args) == (("/other",), ())


def test_a_change_of_the_archive_changes_the_digest(bench: Workbench) -> None:
    path = bench.directory / "image.tar"
    data = with_archive(oci_archive(path, [SIDECAR], Entrypoint=["/sidecar"]))
    before = bench.load(data).digest
    oci_archive(path, [SIDECAR], Entrypoint=["/sidecar"], User="107")
    assert bench.load(data).digest != before


@pytest.mark.parametrize(
    ("settings", "message", "fix"),
    [
        ({}, "the sidecar's image has no command", "KubeVirt gives a sidecar none"),
        ({"architecture": "s390x", "Entrypoint": ["/sidecar"]}, "it is for linux/s390x", "--platform linux/"),
    ],
)
def test_an_archive_that_cannot_be_used(bench: Workbench, settings: dict[str, object], message: str, fix: str) -> None:
    path = docker_archive(bench.directory / "image.tar", "any:1", [SIDECAR], **settings)
    (problem,) = bench.problems(with_archive(path))
    assert (problem.field, problem.value) == (FIELD, "image.tar")
    assert message in problem.message
    assert fix in problem.fix


def test_no_archive(bench: Workbench) -> None:
    (problem,) = bench.problems(with_archive(bench.directory / "none.tar"))
    assert (problem.field, problem.message) == (FIELD, "there is no such file")
    bench.text("text.tar", "no archive")
    (problem,) = bench.problems(with_archive(bench.directory / "text.tar"))
    assert "this is no tar archive" in problem.message
    assert "docker save" in problem.fix
