"""The NoCloud disk."""

import base64
import io
import json
from pathlib import Path

import pycdlib
import pytest

from conformance.sandbox.launcher.cloudinit import CloudInit, cloud_init_of, write_iso
from conformance.sandbox.launcher.errors import DomainError


def vmi(source: dict[str, object]) -> dict[str, object]:
    return {
        "metadata": {"name": "vm", "namespace": "ns"},
        "spec": {"volumes": [{"name": "root"}, {"name": "ci", "cloudInitNoCloud": source}]},
    }


def read(path: Path, name: str) -> str:
    iso, content = pycdlib.PyCdlib(), io.BytesIO()
    iso.open(str(path))
    iso.get_file_from_iso_fp(content, rr_path=f"/{name}")
    label = iso.pvd.volume_identifier.decode().strip()
    iso.close()
    assert label == "cidata"
    return content.getvalue().decode()


def test_the_disk_holds_what_cloud_init_looks_for(tmp_path: Path) -> None:
    encoded = base64.b64encode("version: 2 # ü".encode()).decode()
    data = cloud_init_of(vmi({"userData": "#cloud-config\n", "networkDataBase64": encoded}), tmp_path)
    assert data is not None
    write_iso(data, tmp_path / "deep" / "x.iso")
    assert read(tmp_path / "deep" / "x.iso", "user-data") == "#cloud-config\n"
    assert read(tmp_path / "deep" / "x.iso", "network-config") == "version: 2 # ü"
    meta = json.loads(read(tmp_path / "deep" / "x.iso", "meta-data"))
    assert meta == {"instance-id": "vm.ns", "local-hostname": "vm"}


def test_data_from_a_mounted_secret(tmp_path: Path) -> None:
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci" / "userdata").write_text("#!/bin/sh\n")
    data = cloud_init_of(vmi({"secretRef": {"name": "s"}}), tmp_path)
    assert data is not None
    assert data.user_data == "#!/bin/sh\n"


def test_no_cloud_init_volume(tmp_path: Path) -> None:
    assert cloud_init_of({"spec": {"volumes": [{"name": "root"}]}}, tmp_path) is None


@pytest.mark.parametrize("source", [{"userDataBase64": "%%%"}, {"secretRef": {"name": "gone"}}])
def test_unreadable_data_are_an_error(source: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(DomainError, match="userData"):
        cloud_init_of(vmi(source), tmp_path)


def test_hook_data_round_trip() -> None:
    data = CloudInit("ci", "#a", "n", "vm", "id")
    assert data.with_hook_data(data.as_hook_data()) == data
    assert data.with_hook_data({"UserData": "#b"}).user_data == "#b"
