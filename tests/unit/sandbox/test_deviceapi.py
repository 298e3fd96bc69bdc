"""The kubelet's side of the device plugin API, against the messages that the bundled device plugin writes."""

from __future__ import annotations

from conformance.protowire import field, varint_field
from conformance.sandbox.kubernetes.deviceapi import (
    Allocation,
    DeviceMount,
    DeviceSpec,
    Registration,
    allocate_request,
    decode_allocation,
    healthy_devices,
)
from fixtures.plugins.macvtap_cni.opt.macvtap_cni import messages


def test_the_bundled_plugin_and_the_kubelet_understand_each_other() -> None:
    request = messages.register_request("p.sock", "example/eth1")
    assert Registration.decode(request) == Registration("v1beta1", "p.sock", "example/eth1")
    assert healthy_devices(messages.device_list(["a", "b"])) == ("a", "b")
    assert messages.requested_devices(allocate_request(["a", "b" * 200])) == [["a", "b" * 200]]
    given = decode_allocation(messages.allocate_response([["/dev/tap7"]]))
    assert given == Allocation(devices=(DeviceSpec("/dev/tap7", "/dev/tap7", "rw"),))


def test_only_healthy_devices_count() -> None:
    sick = field(1, field(1, b"c") + field(2, b"Unhealthy"))
    assert healthy_devices(messages.device_list(["a"]) + sick) == ("a",)


def test_an_allocation_has_mounts_and_variables_too() -> None:
    mount = field(2, field(1, b"/in") + field(2, b"/out") + varint_field(3, 1))
    variable = field(1, field(1, b"NAME") + field(2, b"value"))
    given = decode_allocation(field(1, variable + mount))
    assert given == Allocation(mounts=(DeviceMount("/in", "/out", True),), env=(("NAME", "value"),))
    assert given + Allocation(devices=(DeviceSpec("/a", "/b"),)) == Allocation(
        (DeviceSpec("/a", "/b"),), given.mounts, given.env
    )
