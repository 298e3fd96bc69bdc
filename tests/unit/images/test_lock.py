"""The images lock: read, asked, filled in from a registry, and nothing used beside it."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conformance.cli.main import app
from conformance.cluster.usedimages import used_images
from conformance.guest.image import profiles
from conformance.images.lock import ImagesLock, LockError, Part, Unresolved, remarks, repository_of
from conformance.images.registry import Registries, RegistryError
from conformance.images.resolve import resolve
from conformance.model import load_binding
from conformance.site import Guest, Site
from fixtures.images import LOCK, client_image, known_guest, lock
from tests.unit.images.registry_server import Registry, registry_server

ROOT = Path(__file__).parents[3]
BINDINGS = ROOT / "fixtures" / "bindings"
A, B = "sha256:" + "a" * 64, "b" * 64

TEXT = f"""
# why
apiVersion: binding-conformance/v1alpha1
kind: ImagesLock
images:
  - repository: HOST/some/image   # a comment that must stay
    part: kubevirt
    use: tests
    tags:
      v1.8.2: {A}
      v1.9.0: unresolved
  - repository: HOST/other/image
    part: suite
    use: tests
    tags: {{v1.9.0: unresolved}}
  - repository: localhost/made/here
    part: binding
    use: tests
    tags: {{"1": built}}
manifests:
  - name: thing
    url: https://example.org/{{version}}/thing.yaml
    versions: {{v1: {B}}}
"""


@pytest.fixture
def registry() -> Iterator[Registry]:
    with registry_server() as running:
        yield running


@pytest.fixture
def lock_file(tmp_path: Path, registry: Registry) -> Path:
    path = tmp_path / "images.lock"
    path.write_text(TEXT.replace("HOST", registry.host))
    return path


def test_references_have_the_digest_where_it_is_known(lock_file: Path, registry: Registry) -> None:
    lock = ImagesLock(lock_file)
    assert lock.image(f"{registry.host}/some/image", "v1.8.2").reference == f"{registry.host}/some/image:v1.8.2@{A}"
    assert lock.image(f"{registry.host}/some/image", "v1.9.0").reference == f"{registry.host}/some/image:v1.9.0"
    assert [i.tag for i in lock.needed(kubevirt="v1.9.0")] == ["v1.9.0", "v1.9.0", "1"]
    assert lock.manifest("thing", "v1").url == "https://example.org/v1/thing.yaml"


@pytest.mark.parametrize(
    ("wanted", "release"), [("", "v1.9.0"), ("1.8", "v1.8.2"), ("v1.8.2", "v1.8.2"), ("v1.9", "v1.9.0")]
)
def test_a_release_may_be_named_short(lock_file: Path, wanted: str, release: str) -> None:
    assert ImagesLock(lock_file).release(Part.KUBEVIRT, wanted) == release


def test_a_release_that_is_not_locked_is_refused_with_those_that_are(lock_file: Path) -> None:
    with pytest.raises(LockError, match=r"no kubevirt 1\.2 is locked; there are v1\.8\.2, v1\.9\.0"):
        ImagesLock(lock_file).release(Part.KUBEVIRT, "1.2")


def test_unresolved_digests_are_refused_by_name_with_the_fix(lock_file: Path) -> None:
    lock = ImagesLock(lock_file)
    lock.require_resolved(lock.needed(kubevirt="v1.8.2", parts=[Part.KUBEVIRT, Part.BINDING]))
    with pytest.raises(Unresolved, match=r"some/image:v1\.9\.0[\s\S]*images lock --resolve"):
        lock.require_resolved(lock.needed(kubevirt="v1.9.0", parts=[Part.KUBEVIRT]))


def test_what_is_used_without_a_digest_is_told_with_the_fix(lock_file: Path) -> None:
    lock = ImagesLock(lock_file)
    unresolved = [image for image in lock.images if not image.resolved]
    (told,) = remarks([image for image in lock.images if not image.built])
    assert all(image.name in told for image in unresolved)
    assert "images lock --resolve" in told
    assert list(remarks(image for image in lock.images if image.resolved and not image.built)) == []


def test_what_no_registry_has_is_told_to_those_who_pull() -> None:
    (told,) = remarks(lock().named("image: localhost/kubevirt-binding-conformance/node-dhcp:1"))
    assert "no registry has localhost/kubevirt-binding-conformance/node-dhcp:1" in told


def test_the_images_of_a_run_are_its_own_and_those_the_binding_names(tmp_path: Path) -> None:
    binding = load_binding(BINDINGS / "passt.yaml")
    guest = Guest("registry.example/disk:1", "me", "secret", "1Gi")
    client, pause = "docker.io/library/python:3.13-alpine", "registry.k8s.io/pause:3.10"
    sidecar = "quay.io/kubevirt/network-passt-binding:20231205_29a16d5c9"
    assert [i.name for i in used_images(lock(), binding, Site(guest=guest), "")] == [client, pause, sidecar]
    named = [i.repository for i in used_images(lock(), binding, Site(), "alpine")]
    assert named[1] == profiles()["alpine"].repository
    node_dhcp = "localhost/kubevirt-binding-conformance/node-dhcp:1"
    found = used_images(lock(), load_binding(BINDINGS / "managedtap.yaml"), Site(), "")
    assert [i.name for i in found if i.built] == [node_dhcp]


@pytest.mark.parametrize("words", [["list"], ["lock"]])
def test_the_command_line_says_what_is_missing_and_what_fills_it_in(words: list[str], lock_file: Path) -> None:
    done = CliRunner().invoke(app, ["images", *words, "--lock", str(lock_file)])
    assert done.exit_code == 0
    assert "unresolved" in done.stdout
    assert "binding-conformance images lock --resolve" in " ".join(done.stderr.split())


def test_resolving_fills_in_what_is_missing_and_keeps_the_rest(lock_file: Path, registry: Registry) -> None:
    some, other = registry.add("some/image:v1.9.0"), registry.add("other/image:v1.9.0")
    said: list[str] = []
    assert resolve(ImagesLock(lock_file), Registries(), said.append) == []
    lock = ImagesLock(lock_file)
    assert lock.image(f"{registry.host}/some/image", "v1.9.0").digest == some
    assert lock.image(f"{registry.host}/other/image").digest == other
    assert lock.image(f"{registry.host}/some/image", "v1.8.2").digest == A, "a known digest is never replaced"
    assert "# a comment that must stay" in lock_file.read_text()
    assert len(said) == 2
    assert any(path.startswith("/token") for path in registry.requests), "the registry wanted a token"


def test_what_one_registry_does_not_know_does_not_keep_the_rest(lock_file: Path, registry: Registry) -> None:
    registry.add("other/image:v1.9.0")
    problems = resolve(ImagesLock(lock_file), Registries(), lambda _: None)
    assert len(problems) == 1
    assert "some/image:v1.9.0" in problems[0]
    assert "404" in problems[0]
    assert ImagesLock(lock_file).image(f"{registry.host}/other/image").resolved


def test_a_checksum_is_computed_from_the_file(tmp_path: Path, registry: Registry) -> None:
    class Published(Registries):
        def file(self, url: str) -> bytes:
            return super().file(url.replace("https://example.org", f"http://{registry.host}"))

    registry.files["v1/thing.yaml"] = b"kind: Thing\n"
    path = tmp_path / "images.lock"
    path.write_text(TEXT.replace("HOST", registry.host).replace(B, "unresolved"))
    resolve(ImagesLock(path), Published(), lambda _: None)
    assert ImagesLock(path).manifest("thing", "v1").sha256 == hashlib.sha256(b"kind: Thing\n").hexdigest()


def test_a_registry_that_contradicts_itself_is_not_believed(registry: Registry) -> None:
    registry.add("some/image:v1")
    registry.lies.add("v1")
    with pytest.raises(RegistryError, match="its manifest has sha256"):
        Registries().digest(f"{registry.host}/some/image:v1")


def test_a_registry_that_wants_an_account_is_named(registry: Registry) -> None:
    registry.wants = "password"
    with pytest.raises(RegistryError, match="wants an account"):
        Registries().digest(f"{registry.host}/some/image:v1")


def test_an_unreachable_registry_is_named() -> None:
    with pytest.raises(RegistryError, match=r"127\.0\.0\.1:1/x:v1: .* cannot be reached"):
        Registries(seconds=1).digest("127.0.0.1:1/x:v1")


def test_a_mirror_is_asked_instead(registry: Registry) -> None:
    digest = registry.add("some/image:v1")
    assert Registries({"quay.io": f"http://{registry.host}"}).digest("quay.io/some/image:v1") == digest


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [(A, "sha256:12"), ("part: suite", "part: toys"), ("kind: ImagesLock", "kind: Lock"), ("{version}/thing", "thing")],
)
def test_a_lock_that_cannot_be_is_refused_with_field_and_value(tmp_path: Path, broken: str, complaint: str) -> None:
    path = tmp_path / "images.lock"
    path.write_text(TEXT.replace("HOST", "quay.io").replace(broken, complaint))
    with pytest.raises(LockError, match=r"no sound lock[\s\S]*got "):
        ImagesLock(path)


def test_repository_of_a_reference() -> None:
    assert repository_of("localhost:5000/a/b:1") == "localhost:5000/a/b"
    assert repository_of(f"quay.io/a/b:v1@{A}") == "quay.io/a/b"
    assert repository_of("localhost:5000/a/b") == "localhost:5000/a/b"


_REFERENCE = re.compile(
    r"\b(?:(?:docker\.io|quay\.io|ghcr\.io|registry\.k8s\.io|localhost)/[a-z0-9./_-]+|kindest/node|python):[\w][\w.-]*"
)
_SEARCHED = ("conformance", "fixtures", "suites", "kind-config", "deploy", "Dockerfile", ".github", "action.yml")


def test_no_manifest_or_code_names_an_image_outside_the_lock() -> None:
    names = {image.name for image in ImagesLock(LOCK).images}
    command = ["git", "ls-files", "--", *_SEARCHED]
    tracked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    strangers = {}
    for name in tracked.stdout.splitlines():
        path = ROOT / name
        if path.suffix not in (".py", ".yaml", ".yml", "", ".json") or path == LOCK or not path.is_file():
            continue
        prose = r""""{3}[\s\S]*?"{3}"""  # docstrings give examples
        for found in _REFERENCE.findall(re.sub(prose, "", path.read_text(encoding="utf-8"))):
            full = f"docker.io/{found}" if found.startswith("kindest/") else found
            full = f"docker.io/library/{found}" if found.startswith("python:") else full
            if full not in names:
                strangers[f"{name}: {full}"] = found
    assert not strangers, sorted(strangers)


def test_the_suite_uses_what_the_lock_has() -> None:
    names = {image.reference for image in ImagesLock(LOCK).images}
    assert {client_image(), *(known_guest(name).reference for name in profiles())} <= names
