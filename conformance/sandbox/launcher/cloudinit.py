"""NoCloud data of a VMI: what KubeVirt puts on the cloud-init disk."""

import base64
import binascii
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pycdlib

from conformance.sandbox.launcher.errors import DomainError

VOLUME_LABEL = "cidata"


@dataclass(frozen=True)
class CloudInit:
    """The NoCloud data of one volume. `secret` names a Secret that user data come from, if they do."""

    volume: str
    user_data: str = ""
    network_data: str = ""
    hostname: str = ""
    instance_id: str = ""

    @property
    def meta_data(self) -> dict[str, str]:
        """The NoCloud metadata, in KubeVirt's form."""
        return {"instance-id": self.instance_id, "local-hostname": self.hostname}

    def as_hook_data(self) -> dict[str, object]:
        """The form the PreCloudInitIso hook gets: Go's field names."""
        return {
            "DataSource": "noCloud",
            "NoCloudMetaData": self.meta_data,
            "ConfigDriveMetaData": None,
            "UserData": self.user_data,
            "NetworkData": self.network_data,
            "DevicesData": None,
            "VolumeName": self.volume,
        }

    def with_hook_data(self, data: Mapping[str, object]) -> "CloudInit":
        """The data after a hook changed them."""
        meta = data.get("NoCloudMetaData")
        hostname = meta.get("local-hostname", self.hostname) if isinstance(meta, dict) else self.hostname
        return CloudInit(
            volume=self.volume,
            user_data=str(data.get("UserData") or ""),
            network_data=str(data.get("NetworkData") or ""),
            hostname=str(hostname),
            instance_id=self.instance_id,
        )


def cloud_init_of(vmi: Mapping[str, object], secrets: Path) -> CloudInit | None:
    """The cloud-init data of a VMI, None if it has no such volume. Raises DomainError for data that cannot be read.

    `secrets` is the directory with one directory a mounted secret volume (files userdata, networkdata), used for
    `secretRef` and `networkDataSecretRef`.
    """
    metadata, spec = _mapping(vmi, "metadata"), _mapping(vmi, "spec")
    for volume in _items(spec, "volumes"):
        source = volume.get("cloudInitNoCloud")
        if isinstance(source, dict):
            name = str(volume["name"])
            folder = secrets / name
            return CloudInit(
                volume=name,
                user_data=_data(source, "userData", "secretRef", folder / "userdata"),
                network_data=_data(source, "networkData", "networkDataSecretRef", folder / "networkdata"),
                hostname=str(spec.get("hostname") or metadata.get("name") or ""),
                instance_id=f"{metadata.get('name')}.{metadata.get('namespace')}",
            )
    return None


def write_iso(data: CloudInit, path: Path) -> None:
    """Write the NoCloud disk (ISO 9660 with Rock Ridge and Joliet, label cidata); parent directories are created."""
    files = {"user-data": data.user_data, "meta-data": json.dumps(data.meta_data)}
    if data.network_data:
        files["network-config"] = data.network_data
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=VOLUME_LABEL)
    for name, text in files.items():
        content = text.encode()
        short = f"/{name.upper().replace('-', '_')}.;1"
        iso.add_fp(io.BytesIO(content), len(content), short, rr_name=name, joliet_path=f"/{name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    iso.write(str(path))
    iso.close()


def _data(source: Mapping[str, object], plain: str, secret: str, file: Path) -> str:
    """One of the two kinds of data: plain, base64, or from a secret (KubeVirt allows exactly one)."""
    if isinstance(text := source.get(plain), str) and text:
        return text
    if isinstance(encoded := source.get(f"{plain}Base64"), str) and encoded:
        try:
            return base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise DomainError(f"{plain}Base64 is not valid: {error}") from error
    if source.get(secret):
        try:
            return file.read_text(encoding="utf-8")
        except OSError as error:
            raise DomainError(f"failed to read {plain} from its secret: {error}") from error
    return ""


def _mapping(parent: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _items(parent: Mapping[str, object], key: str) -> list[dict[str, object]]:
    value = parent.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
