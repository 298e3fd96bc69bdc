"""Image references, and the store that is filled from outside."""

from pathlib import Path

import pytest

from conformance.sandbox.images import Image, ImageStore, normalise


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images", tmp_path)


@pytest.mark.parametrize(
    ("reference", "full"),
    [
        ("python", "docker.io/library/python:latest"),
        ("python:3.13-alpine", "docker.io/library/python:3.13-alpine"),
        ("kubevirt/virt-launcher", "docker.io/kubevirt/virt-launcher:latest"),
        ("registry.local:5000/a/b", "registry.local:5000/a/b:latest"),
        ("localhost/a:1", "localhost/a:1"),
        ("quay.io/a/b:v1@sha256:abc", "quay.io/a/b@sha256:abc"),
        ("quay.io/a/b@sha256:abc", "quay.io/a/b@sha256:abc"),
    ],
)
def test_a_reference_has_one_full_form(reference: str, full: str) -> None:
    assert normalise(reference) == full
    assert normalise(full) == full


@pytest.mark.parametrize("reference", ["", "with space", "a\tb"])
def test_a_bad_reference_is_refused_and_resolves_to_nothing(reference: str, store: ImageStore) -> None:
    with pytest.raises(ValueError, match="invalid reference format"):
        normalise(reference)
    assert store.resolve(reference) is None


def test_what_was_loaded_is_found_by_every_form_of_its_name(store: ImageStore, tmp_path: Path) -> None:
    image = Image("vendor/sidecar", (tmp_path,), ("/sidecar", "--verbose"), {"A": "1"})
    store.load(image)
    assert store.resolve("docker.io/vendor/sidecar:latest") == image
    assert store.resolve("vendor/sidecar:2") is None
    store.load(Image("vendor/sidecar", (), ("/other",)))
    found = store.resolve("vendor/sidecar")
    assert found is not None
    assert found.command == ("/other",)


def test_an_image_from_outside_is_never_privileged(store: ImageStore) -> None:
    store.load(Image("vendor/greedy", privileged=True))
    found = store.resolve("vendor/greedy")
    assert found is not None
    assert not found.privileged


def test_a_missing_layer_is_named(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"vendor/sidecar: layer {tmp_path}/missing is not a directory"):
        store.load(Image("vendor/sidecar", (tmp_path / "missing",)))


@pytest.mark.parametrize("tag", [":v1.9.0", "@sha256:0123"])
def test_an_image_of_the_sandbox_itself_is_privileged(tag: str, store: ImageStore, tmp_path: Path) -> None:
    store.provide(Image("quay.io/kubevirt/virt-launcher:*", (tmp_path,), privileged=True))
    found = store.resolve(f"quay.io/kubevirt/virt-launcher{tag}")
    assert found is not None
    assert found.privileged
    assert found.layers == (tmp_path,)


def test_an_image_loaded_from_outside_is_never_privileged(store: ImageStore, tmp_path: Path) -> None:
    store.load(Image("vendor/sidecar:1", (tmp_path,), privileged=True))
    found = store.resolve("vendor/sidecar:1")
    assert found is not None
    assert not found.privileged


def test_the_built_in_disk_names_its_guest(store: ImageStore) -> None:
    found = store.resolve("quay.io/kubevirt/fedora-with-test-tooling-container-disk:v1.9.0")
    assert found is not None
    assert found.guest == "mini"
