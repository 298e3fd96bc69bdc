"""`images save`, `load` and `mirror`, to the last call that an engine would get."""

from __future__ import annotations

from pathlib import Path

from conformance.images.lock import ImagesLock, Part
from tests.kind.conftest import Workshop, command


def test_a_bundle_is_saved_and_loaded(workshop: Workshop, tmp_path: Path) -> None:
    target = tmp_path / "saved"
    given = ["--manifests", str(workshop.bundle / "manifests"), "--lock", str(workshop.bundle / "images.lock")]
    done = command("images", "save", str(target), "--kubevirt-version", "1.8", *given)
    assert done.exit_code == 0, done.stderr
    lock = ImagesLock(target / "images.lock")
    wanted = [i for i in lock.needed(kubevirt="v1.8.2", kubernetes="v1.36.1") if not i.built]
    wanted = [i for i in wanted if i.part is not Part.UPSTREAM]
    pulled = [call.split()[-1] for call in workshop.calls() if call.startswith("docker pull")]
    assert pulled == [image.reference for image in wanted]
    assert all("@sha256:" in reference for reference in pulled)
    saved = next(call for call in workshop.calls() if call.startswith("docker save"))
    assert saved.split()[4:] == [image.name for image in wanted], "an archive knows images by name"
    assert {path.name for path in (target / "manifests").iterdir()} == {
        "multus-thin-v4.3.0.yaml",
        "multus-thick-v4.3.0.yaml",
        "kubevirt-operator-v1.8.2.yaml",
    }

    assert command("images", "load", str(target)).exit_code == 0
    assert workshop.calls()[-1] == f"docker load --input {target / 'images.tar'}"
    (workshop.state / "nodes").write_text("a-node")
    done = command("images", "load", str(target), "--cluster", "mine")
    assert done.exit_code == 0, done.stderr
    assert f"kind load image-archive {target / 'images.tar'} --name mine" in workshop.calls()
    assert workshop.calls()[-1].startswith("docker exec a-node sh -ec")


def test_a_directory_that_is_no_bundle_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    done = command("images", "load", str(tmp_path))
    assert done.exit_code == 3
    assert "no images.tar in it" in " ".join(done.stderr.split())


def test_an_image_that_cannot_be_pulled_is_named_with_what_helps(workshop: Workshop, tmp_path: Path) -> None:
    workshop.fail("docker pull", "Error response from daemon: Get https://quay.io/v2/: i/o timeout")
    done = command("images", "mirror", "mirror.example:5000", "--part", "guest")
    assert done.exit_code == 3
    text = " ".join(done.stderr.split())
    assert "fedora-with-test-tooling-container-disk:v1.1.0 cannot be pulled" in text
    assert "fix: allow the registry" in text


def test_a_mirror_gets_every_image_under_its_path(workshop: Workshop) -> None:
    done = command("images", "mirror", "mirror.example:5000/kubevirt-ci", "--part", "kubevirt")
    assert done.exit_code == 0, done.stderr
    pushed = [call.split()[-1] for call in workshop.calls() if call.startswith("docker push")]
    assert pushed == done.stdout.split()
    assert pushed[0] == "mirror.example:5000/kubevirt-ci/kubevirt/virt-operator:v1.9.0"
    assert len(pushed) == 5


def test_digests_are_required_where_the_user_says_so(workshop: Workshop, tmp_path: Path) -> None:
    done = command("images", "save", str(tmp_path / "b"), "--require-digests")
    assert done.exit_code == 2
    assert "quay.io/kubevirt/virt-launcher:v1.9.0" in done.stderr
    assert "images lock --resolve" in " ".join(done.stderr.split())
    assert workshop.calls() == []


def test_no_engine_is_an_environment_fault(workshop: Workshop, tmp_path: Path) -> None:
    workshop.fail("docker info", "Cannot connect to the Docker daemon")
    done = command("images", "save", str(tmp_path / "b"))
    assert done.exit_code == 3
    assert "no container engine answers" in done.stderr
    assert "podman is not installed" in done.stderr
