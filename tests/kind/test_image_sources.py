"""`doctor --cluster kind` says which registry does not answer, and what the lock has no digest of."""

from __future__ import annotations

from pathlib import Path

from conformance.cluster.kindconfig import KindOptions
from conformance.cluster.kindimages import image_sources
from conformance.host.finding import Finding, obstacles
from conformance.images.lock import ImagesLock
from tests.unit.images.registry_server import registry_server

LOCK = """
apiVersion: binding-conformance/v1alpha1
kind: ImagesLock
images:
  - repository: {host}/some/thing
    part: suite
    use: a test
    tags:
      "1": {digest}
manifests: []
"""


def lock_of(directory: Path, host: str, digest: str = "unresolved") -> ImagesLock:
    path = directory / "images.lock"
    path.write_text(LOCK.format(host=host, digest=digest))
    return ImagesLock(path)


def found(lock: ImagesLock, *words: str) -> dict[str, Finding]:
    return {finding.name: finding for finding in image_sources(KindOptions.parse(words), lock)}


def test_a_registry_that_answers_and_one_that_does_not(tmp_path: Path) -> None:
    with registry_server() as registry:
        answers = found(lock_of(tmp_path, registry.host))[f"registry {registry.host}"]
        assert (answers.ok, answers.detail) == (True, f"http://{registry.host}/v2/ answers")
        silent = registry.host
    lacking = found(lock_of(tmp_path, silent))[f"registry {silent}"]
    assert (lacking.ok, lacking.required) == (False, False)
    assert silent in lacking.detail
    assert f"mirror={silent}=URL" in lacking.fix


def test_a_mirror_is_asked_in_the_place_of_the_registry(tmp_path: Path) -> None:
    with registry_server() as registry:
        mirror = f"mirror=registry.example=http://{registry.host}"
        assert found(lock_of(tmp_path, "registry.example"), mirror)["registry registry.example"].ok


def test_a_digest_that_is_not_known_is_an_obstacle_only_where_they_are_required(tmp_path: Path) -> None:
    with registry_server() as registry:
        lock = lock_of(tmp_path, registry.host)
        assert "some/thing:1" in found(lock)["digests"].detail
        assert not obstacles(found(lock).values())
        assert [f.name for f in obstacles(found(lock, "require-digests=yes").values())] == ["digests"]
        assert found(lock_of(tmp_path, registry.host, "sha256:" + "0" * 64))["digests"].ok
