"""A user's own disk image: what is accepted, and what is said of the rest."""

import struct
from pathlib import Path

import pytest

from conformance.cluster.sandbox import guest_choice
from conformance.sandbox.guestlibrary import GuestLibrary, parse_choice
from conformance.sandbox.guests import DiskImageError, disk_guest
from conformance.sandbox.images import SUITE_GUEST, Image, ImageStore
from conformance.sandbox.launcher.disks import boot_files
from conformance.sandbox.launcher.errors import DomainError

FEDORA = "quay.io/kubevirt/fedora-with-test-tooling-container-disk:v1.6.0"


def qcow2(path: Path, *, version: int = 3, backing: int = 0, size: int = 1 << 30) -> Path:
    path.write_bytes(struct.pack(">4sIQIIQ", b"QFI\xfb", version, backing, 0, 16, size) + bytes(512))
    return path


def raw(path: Path) -> Path:
    path.write_bytes(bytes(510) + b"\x55\xaa" + bytes(1024))
    return path


def test_both_formats_boot_by_themselves(tmp_path: Path) -> None:
    for path, wanted in ((qcow2(tmp_path / "a.qcow2"), "qcow2"), (raw(tmp_path / "b.img"), "raw")):
        guest = disk_guest(path)
        assert guest.disk is not None
        assert (guest.disk.path, guest.disk.format) == (path, wanted)
        assert boot_files(guest) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file"),
        (b"", "0 bytes are neither a qcow2 nor a whole raw disk"),
        (bytes(512), "nor a raw disk with a boot sector"),
        (bytes(700), "700 bytes are neither"),
        (b"KDMV" + bytes(600), "this is a VMDK file; convert it with `qemu-img convert"),
        (b"\x1f\x8b" + bytes(600), "this is a gzip-compressed file"),
        (b"QFI\xfb\0\0", "the qcow2 header is cut off"),
    ],
)
def test_what_cannot_be_booted_is_said_with_the_fix(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "disk"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DiskImageError, match=words) as caught:
        disk_guest(path)
    assert str(path) in str(caught.value)


def test_a_qcow2_that_depends_on_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DiskImageError, match="it lies over another image"):
        disk_guest(qcow2(tmp_path / "layer", backing=512))
    with pytest.raises(DiskImageError, match="qcow2 version 9"):
        disk_guest(qcow2(tmp_path / "new", version=9))
    with pytest.raises(DiskImageError, match=r"[Ii]s a directory"):
        disk_guest(tmp_path)


def test_a_choice_is_a_reference_and_a_guest(tmp_path: Path) -> None:
    disk = raw(tmp_path / "a=b.img")
    assert parse_choice("networkd") == (SUITE_GUEST, "networkd")
    assert parse_choice("fedora=mini") == ("docker.io/library/fedora:latest", "mini")
    assert parse_choice(f"{FEDORA}={raw(tmp_path / 'disk.img')}") == (FEDORA, str(tmp_path / "disk.img"))
    assert guest_choice("mini") == "mini"
    with pytest.raises(ValueError, match=r"neither a guest \(mini, networkd, networkmanager\) nor a disk image"):
        guest_choice("maxi")
    with pytest.raises(ValueError, match="the reference before `=` is empty"):
        guest_choice("=mini")
    with pytest.raises(ValueError, match="there is no such file"):
        guest_choice(f"{FEDORA}={tmp_path}/missing.qcow2")
    assert disk.exists()


def test_a_vm_boots_what_its_containerdisk_was_mapped_to(tmp_path: Path) -> None:
    disk = raw(tmp_path / "disk.img")
    store = ImageStore(tmp_path / "images", Path("/"))
    store.load(Image(SUITE_GUEST, guest=str(disk)))
    library = GuestLibrary(store, tmp_path / "guests", lambda _text: None)
    vmi = {"spec": {"volumes": [{"name": "root", "containerDisk": {"image": FEDORA}}]}}
    assert library.of(vmi) == disk_guest(disk)
    assert library.disks() == {disk_guest(disk).digest: disk}
    disk.unlink()
    with pytest.raises(DomainError, match=r"failed to prepare the container disk: .*disk\.img: there is no such file"):
        library.of(vmi)
    assert library.disks() == {}
