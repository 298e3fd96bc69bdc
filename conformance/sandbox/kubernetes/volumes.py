"""A pod's volumes on the node's disk, its environment and its resolver, as a kubelet prepares them."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from conformance.sandbox.client import CLAIMS, CONFIG_MAPS, SECRETS, ApiClient, ApiError, Object
from conformance.sandbox.kubernetes.claims import claim_directory
from conformance.sandbox.kubernetes.names import CLUSTER_DOMAIN
from conformance.sandbox.launcher.container import Dns, Mount
from conformance.sandbox.network.node import Node

CLUSTER_DNS: Final = "10.96.0.10"
KUBERNETES_SERVICE: Final = "10.96.0.1"
KUBERNETES_PORT: Final = 443

# What a container sees of mounts that come and go below a volume while it runs; it has those of its start in any case.
_PROPAGATION: Final = {"HostToContainer": ("rbind", "rslave"), "Bidirectional": ("rbind", "rshared")}


class VolumeError(Exception):
    """A volume cannot be set up; the message is what the kubelet's event says."""


class PodVolumes:
    """The volumes of one pod: `volumes/<name>` of its directory, and paths of its node."""

    def __init__(self, directory: Path, pod: Object, node: Node, claims: Path) -> None:
        """`claims` is where the data of persistent volume claims are."""
        self._directory, self._pod, self._node, self._claims = directory, pod, node, claims
        self._claimed: dict[str, Path] = {}

    @property
    def directory(self) -> Path:
        return self._directory / "volumes"

    async def setup(self, client: ApiClient) -> None:
        """Create every volume; `VolumeError` when a ConfigMap or Secret is missing."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for volume in self._pod["spec"].get("volumes") or []:
            if "hostPath" in volume:
                continue
            if source := volume.get("persistentVolumeClaim"):
                self._claimed[volume["name"]] = await self._claim(client, source["claimName"])
                continue
            path = self.directory / volume["name"]
            path.mkdir(exist_ok=True)
            path.chmod(0o777)
            if source := volume.get("configMap"):
                await self._write_object(client, source, path, secret=False)
            elif source := volume.get("secret"):
                await self._write_object(client, source, path, secret=True)
            elif source := volume.get("downwardAPI"):
                self.write_downward(source, path)
            elif source := volume.get("projected"):
                await self._write_projected(client, source, path)

    async def _claim(self, client: ApiClient, name: str) -> Path:
        claim = await client.find(CLAIMS, self._pod["metadata"]["namespace"], name)
        if claim is None:
            raise VolumeError(f'persistentvolumeclaim "{name}" not found')
        if (claim.get("status") or {}).get("phase") != "Bound":
            raise VolumeError(f'persistentvolumeclaim "{name}" is not bound')
        return claim_directory(self._claims, claim)

    async def _write_projected(self, client: ApiClient, projection: Object, path: Path) -> None:
        for part in projection.get("sources") or []:
            if source := part.get("serviceAccountToken"):
                (path / source["path"]).write_text(await self._token(client, source))
                (path / source["path"]).chmod(0o644)
            elif source := part.get("configMap") or part.get("secret"):
                await self._write_object(client, source, path, secret="secret" in part)
            elif source := part.get("downwardAPI"):
                self.write_downward(source, path)

    async def _token(self, client: ApiClient, source: Object) -> str:
        meta, account = self._pod["metadata"], self._pod["spec"].get("serviceAccountName") or "default"
        bound = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
        spec: Object = {"boundObjectRef": bound, "expirationSeconds": source.get("expirationSeconds", 3600)}
        if audience := source.get("audience"):
            spec["audiences"] = [audience]
        try:
            return await client.token(meta["namespace"], account, spec)
        except ApiError as error:
            text = f"failed to fetch token: {error.message}"
            raise VolumeError(f'MountVolume.SetUp failed for volume "kube-api-access" : {text}') from error

    async def _write_object(self, client: ApiClient, source: Object, path: Path, *, secret: bool) -> None:
        """All entries, or the `items` of the source alone under the paths that they have."""
        namespace = self._pod["metadata"]["namespace"]
        name = source.get("secretName") or source["name"]
        found = await client.find(SECRETS if secret else CONFIG_MAPS, namespace, name)
        if found is None:
            kind = "secret" if secret else "configmap"
            raise VolumeError(f'MountVolume.SetUp failed for volume "{path.name}" : {kind} "{name}" not found')
        data = found.get("data") or {}
        places = {item["key"]: item["path"] for item in source.get("items") or []} or {key: key for key in data}
        for key, place in places.items():
            if key not in data:
                raise VolumeError(
                    f'MountVolume.SetUp failed for volume "{path.name}" : references non-existent config key: {key}'
                )
            (path / place).parent.mkdir(parents=True, exist_ok=True)
            (path / place).write_bytes(base64.b64decode(data[key]) if secret else data[key].encode())
            (path / place).chmod(source.get("defaultMode") or 0o644)

    def write_downward(self, source: Object, path: Path) -> None:
        """Downward API files; written again when the pod's metadata changes."""
        for item in source.get("items") or []:
            (path / item["path"]).write_text(field_value(self._pod, item["fieldRef"]["fieldPath"]))

    def refresh(self, pod: Object) -> None:
        """Follow a change of the pod's labels and annotations, once the volumes are there."""
        self._pod = pod
        for volume in pod["spec"].get("volumes") or []:
            path = self.directory / volume["name"]
            if (source := volume.get("downwardAPI")) and path.is_dir():
                self.write_downward(source, path)

    def mounts(self, container: Object) -> Iterator[Mount]:
        """What to bind into `container`; paths of the node are those of its own root file system."""
        volumes = {volume["name"]: volume for volume in self._pod["spec"].get("volumes") or []}
        for mount in container.get("volumeMounts") or []:
            volume = volumes[mount["name"]]
            on_node = "hostPath" in volume
            own = self._claimed.get(mount["name"], self.directory / mount["name"])
            source = self._node.path(volume["hostPath"]["path"]) if on_node else own
            if sub_path := mount.get("subPath"):
                source /= sub_path
                if not on_node:
                    source.mkdir(parents=True, exist_ok=True)
                    source.chmod(0o777)
            options = _PROPAGATION.get(mount.get("mountPropagation", "None"), ())
            yield Mount(str(source), mount["mountPath"], read_only=bool(mount.get("readOnly")), options=options)

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def remove_logs(self) -> None:
        """Remove what is left of an ended pod once its object is gone."""
        shutil.rmtree(self._directory, ignore_errors=True)


def cluster_dns(namespace: str) -> Dns:
    """The resolver of a pod with dnsPolicy ClusterFirst (or ClusterFirstWithHostNet)."""
    searches = (f"{namespace}.svc.{CLUSTER_DOMAIN}", f"svc.{CLUSTER_DOMAIN}", CLUSTER_DOMAIN)
    return Dns((CLUSTER_DNS,), searches, ("ndots:5",))


def field_value(pod: Object, path: str) -> str:
    """The value of a downward API `fieldPath`, empty when absent."""
    for prefix in ("metadata.annotations", "metadata.labels"):
        if path.startswith(f"{prefix}['"):
            return str((pod["metadata"].get(prefix.split(".")[1]) or {}).get(path[len(prefix) + 2 : -2], ""))
        if path == prefix:
            entries = pod["metadata"].get(prefix.split(".")[1]) or {}
            return "\n".join(f"{name}={json.dumps(value)}" for name, value in sorted(entries.items()))
    value: object = pod
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else str(value)
