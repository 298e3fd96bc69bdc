"""Images in files: every form a vendor may bring, and what is said of those that cannot be used."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.oci import ImageArchiveError, ImageConfig, open_archive, unpack
from tests.packing import Compression, docker_archive, layer, link, oci_archive, oci_files, oci_layout

NAME = "vendor.example/sidecar:v1"
BASE = layer({"etc/": b"", "etc/passwd": b"lower", "etc/hosts": b"hosts", "bin/sidecar": b"#!"}, {"bin/sidecar": 0o755})
TOP = layer({"etc/.wh.hosts": b"", "etc/passwd": b"upper"})
SETTINGS: dict[str, Any] = {
    "Entrypoint": ["/bin/sidecar"],
    "Cmd": ["--verbose"],
    "Env": ["LEVEL=3", "EMPTY="],
    "User": "107:107",
    "WorkingDir": "/etc",
}


def docker(path: Path) -> Path:
    return docker_archive(path / "image.tar", NAME, [BASE, TOP], **SETTINGS)


def packed(compression: Compression) -> Callable[[Path], Path]:
    return lambda path: oci_archive(path / "image.tar", [BASE, TOP], compression, **SETTINGS)


def laid_out(path: Path) -> Path:
    return oci_layout(path / "layout", [BASE, TOP], "gzip", **SETTINGS)


@pytest.mark.parametrize("write", [docker, packed(""), packed("gzip"), packed("zstd"), laid_out])
def test_every_form_gives_the_same_image(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    with open_archive(write(tmp_path), NAME) as archive:
        assert archive.config == ImageConfig(
            ("/bin/sidecar",), ("--verbose",), {"LEVEL": "3", "EMPTY": ""}, "107:107", "/etc"
        )
        unpack(archive, tmp_path / "root")
    root = tmp_path / "root"
    assert (root / "etc/passwd").read_text() == "upper"
    assert not (root / "etc/hosts").exists(), "a whiteout hides what lies below"
    assert (root / "bin/sidecar").stat().st_mode & 0o777 == 0o755


def unpacked(tmp_path: Path, *layers: bytes) -> Path:
    with open_archive(oci_archive(tmp_path / "image.tar", list(layers)), NAME) as archive:
        unpack(archive, tmp_path / "root")
    return tmp_path / "root"


def test_an_opaque_directory_hides_all_of_the_lower_one_and_nothing_of_its_own(tmp_path: Path) -> None:
    lower = layer({"data/": b"", "data/old": b"old", "data/sub/": b"", "data/sub/old": b"old"})
    root = unpacked(tmp_path, lower, layer({"data/": b"", "data/new": b"new", "data/.wh..wh..opq": b""}))
    assert sorted(path.name for path in (root / "data").iterdir()) == ["new"]


def test_links_lead_where_a_container_would_find_them(tmp_path: Path) -> None:
    first = layer(
        {"usr/lib/": b"", "lib": link("lib", "/usr/lib"), "usr/lib/a": b"a", "b": link("b", "lib/a", hard=True)}
    )
    root = unpacked(tmp_path, first, layer({"lib/c": b"c"}))
    assert (root / "usr/lib/c").read_text() == "c", "an absolute link starts at the image's root"
    assert (root / "b").read_text() == "a"
    assert (root / "lib").is_symlink()


@pytest.mark.parametrize(
    "hostile",
    [
        layer({"../outside": b"x"}),
        layer({"a/../../outside": b"x"}),
        layer({"/etc/outside": b"x"}),
        layer({"link": link("link", "../../../etc/hostname", hard=True)}),
    ],
    ids=["parent", "parent inside", "absolute", "hard link"],
)
def test_a_layer_that_reaches_outside_is_refused(tmp_path: Path, hostile: bytes) -> None:
    with pytest.raises(ImageArchiveError, match="outside") as caught:
        unpacked(tmp_path, hostile)
    assert caught.value.fix == "do not use this image"


def test_a_link_that_leads_outside_is_followed_inside(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    away = layer({"way": link("way", "../../../../outside"), "abs": link("abs", str(tmp_path / "outside"))})
    root = unpacked(tmp_path, away, layer({"way/file": b"x", "abs/file": b"x"}))
    assert not list((tmp_path / "outside").iterdir())
    assert (root / "outside/file").read_text() == "x"


def broken(tmp_path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    files = oci_files([BASE], **SETTINGS)
    change(files)
    path = tmp_path / "image.tar"
    path.write_bytes(layer(files))
    return path


def biggest(files: dict[str, bytes]) -> str:
    return max(files, key=lambda name: len(files[name]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda files: files.update({biggest(files): b"other"}), "should have digest sha256:"),
        (lambda files: files.pop(biggest(files)), "it has no file blobs/sha256/"),
        (lambda files: files.pop("index.json"), "neither index.json nor manifest.json"),
        (lambda files: files.update({"index.json": b"{"}), "index.json is no JSON"),
        (lambda files: files.update({"index.json": b'{"manifests": []}'}), "index.json lists no image"),
        (
            lambda files: files.update({"index.json": b'{"manifests": [{"digest": "sha256:../../etc/passwd"}]}'}),
            "is no digest",
        ),
    ],
)
def test_damage_is_named(tmp_path: Path, change: Callable[[dict[str, bytes]], None], words: str) -> None:
    with pytest.raises(ImageArchiveError, match=words), open_archive(broken(tmp_path, change), NAME):
        pass


def test_what_is_in_a_layer_is_compared_too(tmp_path: Path) -> None:
    path = docker_archive(tmp_path / "image.tar", NAME, [BASE])
    content = path.read_bytes().replace(b"lower", b"LOWER")
    path.write_bytes(content)
    with (
        open_archive(path, NAME) as archive,
        pytest.raises(ImageArchiveError, match=r"the content of layer 0/layer.tar has digest"),
    ):
        unpack(archive, tmp_path / "root")


def test_no_archive_at_all(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no archive")
    for name, words in (
        ("text", "this is no tar archive"),
        ("none", "there is no such file"),
        ("", "neither index.json"),
    ):
        with pytest.raises(ImageArchiveError, match=words), open_archive(tmp_path / name, NAME):
            pass


def test_another_architecture(tmp_path: Path) -> None:
    path = oci_archive(tmp_path / "image.tar", [BASE], architecture="s390x")
    with (
        pytest.raises(ImageArchiveError, match=r"it is for linux/s390x, the nodes are linux/"),
        open_archive(path, NAME),
    ):
        pass


def test_the_image_for_this_machine_out_of_several(tmp_path: Path) -> None:
    files = oci_files([BASE], **SETTINGS)
    (manifest,) = json.loads(files["index.json"])["manifests"]
    ours = {**manifest, "platform": {"os": "linux", "architecture": "amd64"}}
    other = {**manifest, "digest": f"sha256:{'0' * 64}", "platform": {"os": "linux", "architecture": "s390x"}}
    inner = json.dumps({"manifests": [other, ours]}).encode()
    digest = hashlib.sha256(inner).hexdigest()
    files[f"blobs/sha256/{digest}"] = inner
    entry = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": f"sha256:{digest}"}
    files["index.json"] = json.dumps({"manifests": [entry]}).encode()
    (tmp_path / "image.tar").write_bytes(layer(files))
    with open_archive(tmp_path / "image.tar", NAME) as archive:
        assert archive.config.entrypoint == ("/bin/sidecar",)


def test_several_images_and_none_of_that_name(tmp_path: Path) -> None:
    path = docker(tmp_path)
    (entry,) = json.loads((files := _files(path))["manifest.json"])
    both = [entry, {**entry, "RepoTags": ["vendor.example/other:v1"]}]
    files["manifest.json"] = json.dumps(both).encode()
    path.write_bytes(layer(files))
    with open_archive(path, NAME) as archive:
        assert archive.config.user == "107:107"
    words = r"holds several images \(vendor.example/other:v1, .*none of them x:1"
    with pytest.raises(ImageArchiveError, match=words), open_archive(path, "x:1"):
        pass


def _files(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: found.read() for member in tar if (found := tar.extractfile(member)) is not None}
