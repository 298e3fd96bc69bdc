"""VMs on core bindings: what KubeVirt's own DHCP tells them, who reaches them, and what a migration changes."""

import asyncio
import json
import logging
import socket
from collections.abc import Mapping

import pytest

from conformance.sandbox.launcher import Launcher, PodInterfaces, setup_pod_network
from tests.sandbox.launcher.bench import Bench, BenchNode, Pod, vmi_of
from tests.sandbox.launcher.guestaccess import Keys, ssh

_log = logging.getLogger(__name__)
_FACTS = "ip -4 -br addr show eth0; ip route; cat /etc/resolv.conf /var/log/dhcp.log"


def core_vmi(keys: Keys, method: str, **fields: object) -> dict[str, object]:
    """A VMI with a core binding on the pod network."""
    document: dict[str, object] = json.loads(json.dumps(vmi_of("core", keys.user_data, "none")))
    spec = document["spec"]
    assert isinstance(spec, dict)
    spec["domain"]["devices"]["interfaces"] = [{"name": "default", method: {}, **fields}]
    return document


async def prepare(node: BenchNode, name: str, address: str, vmi: dict[str, object]) -> tuple[Launcher, PodInterfaces]:
    """A launcher pod whose network is set up and whose libvirtd answers."""
    launcher = node.add_pod(Pod("bench", name), address)
    cache = await setup_pod_network(node, name, vmi, {})
    await launcher.wait_ready(30)
    return launcher, cache


def test_masquerade(bench: Bench) -> None:
    asyncio.run(masquerade(bench))


async def masquerade(bench: Bench) -> None:
    one, two = bench.nodes
    keys = Keys.generate()
    ports: list[Mapping[str, object]] = [{"port": 22}, {"port": 5000, "protocol": "UDP"}]
    vmi = core_vmi(keys, "masquerade", ports=ports)
    source, cache = await prepare(one, "source", "10.244.1.5", vmi)
    record = cache["default"]
    assert (record.target, record.addresses) == ("tap0", ("10.244.1.5",))
    await source.start_domain(vmi, cache, bench.guest)
    facts, seconds = await ssh(two, "10.244.1.5", keys, f"{_FACTS}; echo kept >/tmp/marker")
    _log.info("boot to SSH %.2f s\n%s", seconds, facts)
    for expected in (
        "10.0.2.2/24",
        "default via 10.0.2.1",
        "nameserver 10.96.0.10",
        "server=10.0.2.1 lease=86313600 routers=10.0.2.1 dns=10.96.0.10 mtu=1500 search=cluster.local",
    ):
        assert expected in facts
    [interface] = await source.interfaces()
    assert (interface.alias, interface.mac, interface.target) == ("default", record.mac, "tap0")
    refused(two, "10.244.1.5", 80)

    target, target_cache = await prepare(two, "target", "10.244.2.7", vmi)
    await target.prepare_target(vmi, target_cache, bench.guest)
    result = await source.migrate_to(target)
    _log.info("migration %.2f s, downtime %s ms", result.wall_seconds, result.downtime_ms)
    await source.destroy()
    log, _ = await ssh(
        one, "10.244.2.7", keys, "cat /tmp/marker; dhcpcd --rebind eth0; sleep 1; tail -n 1 /var/log/dhcp.log"
    )
    assert log.startswith("kept")
    assert "new=10.0.2.2" in log


def test_bridge(bench: Bench) -> None:
    asyncio.run(bridge(bench))


async def bridge(bench: Bench) -> None:
    one, two = bench.nodes
    keys = Keys.generate()
    vmi = core_vmi(keys, "bridge", dhcpOptions={"bootFileName": "boot.img"})
    launcher, cache = await prepare(one, "bridged", "10.244.1.5", vmi)
    await launcher.start_domain(vmi, cache, bench.guest)
    facts, seconds = await ssh(two, "10.244.1.5", keys, _FACTS)
    _log.info("boot to SSH %.2f s\n%s", seconds, facts)
    for expected in ("10.244.1.5/24", "default via 10.244.1.1", "server=169.254.75.10", "routers=10.244.1.1"):
        assert expected in facts
    [interface] = await launcher.interfaces()
    assert interface.mac == cache["default"].mac


def refused(node: BenchNode, address: str, port: int) -> None:
    """A port that is not listed is the pod's own, where nobody listens."""
    connection = node.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.settimeout(5)
    with connection, pytest.raises(ConnectionRefusedError):
        connection.connect((address, port))
