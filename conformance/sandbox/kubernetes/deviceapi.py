"""The messages of the kubelet's device plugin API that a node has to read and write.

Source: k8s.io/kubelet `pkg/apis/deviceplugin/v1beta1/api.proto`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from conformance.protowire import decode_fields, encode_fields, field, fields_of

REGISTRATION_SERVICE: Final = "v1beta1.Registration"
REGISTER: Final = "Register"
LIST_AND_WATCH: Final = "/v1beta1.DevicePlugin/ListAndWatch"
ALLOCATE: Final = "/v1beta1.DevicePlugin/Allocate"
VERSION: Final = "v1beta1"
HEALTHY: Final = "Healthy"


@dataclass(frozen=True)
class Registration:
    """`RegisterRequest`: the API version, the plugin's socket by file name, and the resource it serves."""

    version: str
    endpoint: str
    resource: str

    @classmethod
    def decode(cls, message: bytes) -> Registration:
        fields = decode_fields(message)
        return cls(*(fields.get(number, b"").decode() for number in (1, 2, 3)))


@dataclass(frozen=True)
class DeviceSpec:
    """A device node: where the container has it, where the node has it, what the container may do (`rw`)."""

    container_path: str
    host_path: str
    permissions: str = "rw"


@dataclass(frozen=True)
class DeviceMount:
    """A bind mount that goes with a device."""

    container_path: str
    host_path: str
    read_only: bool = False


@dataclass(frozen=True)
class Allocation:
    """What one container gets for its devices."""

    devices: tuple[DeviceSpec, ...] = ()
    mounts: tuple[DeviceMount, ...] = ()
    env: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: Allocation) -> Allocation:
        return Allocation(self.devices + other.devices, self.mounts + other.mounts, self.env + other.env)


def healthy_devices(message: bytes) -> tuple[str, ...]:
    """The ids of the healthy devices in a `ListAndWatchResponse`."""
    devices = [decode_fields(value) for number, value in fields_of(message) if number == 1 and isinstance(value, bytes)]
    return tuple(device.get(1, b"").decode() for device in devices if device.get(2, b"").decode() == HEALTHY)


def allocate_request(ids: Iterable[str]) -> bytes:
    """An `AllocateRequest` for one container."""
    return encode_fields({1: b"".join(field(1, identifier.encode()) for identifier in ids)})


def decode_allocation(message: bytes) -> Allocation:
    """The answer for the one container of an `AllocateResponse`."""
    devices: list[DeviceSpec] = []
    mounts: list[DeviceMount] = []
    env: list[tuple[str, str]] = []
    for number, value in fields_of(decode_fields(message).get(1, b"")):
        if not isinstance(value, bytes):
            continue
        parts = decode_fields(value)
        first, second, third = (parts.get(key, b"").decode() for key in (1, 2, 3))
        if number == 1:
            env.append((first, second))
        elif number == 2:
            mounts.append(DeviceMount(first, second, any(key == 3 and flag for key, flag in fields_of(value))))
        elif number == 3:
            devices.append(DeviceSpec(first, second, third))
    return Allocation(tuple(devices), tuple(mounts), tuple(env))
