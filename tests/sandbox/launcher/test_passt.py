"""A VM whose NIC comes from a sidecar: libvirt's passt backend, added by a hook."""

import asyncio
import logging
import time
import xml.etree.ElementTree as ET

from conformance.sandbox.launcher import Launcher, PodInterfaces, setup_pod_network
from tests.sandbox.launcher.bench import Bench, BenchNode, Pod, vmi_of
from tests.sandbox.launcher.guestaccess import Keys, ssh
from tests.sandbox.launcher.hookserver import HookServer

_log = logging.getLogger(__name__)
_PASST = """
<interface type='user'>
  <mac address='02:00:00:00:00:02'/>
  <source dev='eth0'/>
  <portForward proto='tcp'><range start='22'/><range start='5000' end='5010'/></portForward>
  <portForward proto='udp'><range start='5000' end='5010'/></portForward>
  <model type='virtio-non-transitional'/>
  <backend type='passt' logFile='/var/run/kubevirt/passt.log'/>
  <alias name='ua-default'/>
  <rom enabled='no'/>
</interface>
"""


def add_passt(xml: str, _vmi: bytes) -> str:
    """What a passt sidecar does: replace the interface that has its alias, or add it."""
    root = ET.fromstring(xml)
    devices = root.find("devices")
    assert devices is not None
    for interface in devices.findall("interface"):
        alias = interface.find("alias")
        if alias is not None and alias.get("name") == "ua-default":
            devices.remove(interface)
    devices.append(ET.fromstring(_PASST))
    return ET.tostring(root, encoding="unicode")


async def prepare(
    node: BenchNode, name: str, address: str, vmi: dict[str, object], sidecar: HookServer
) -> tuple[Launcher, PodInterfaces]:
    """A launcher pod with one sidecar collected."""
    launcher = node.add_pod(Pod("bench", name), address)
    cache = await setup_pod_network(node, name, vmi, {"passt": {"sidecarImage": "any", "migration": {}}})
    await launcher.wait_ready(30)
    await launcher.collect_sidecars(1, 10)
    assert sidecar.calls[-1].endswith("/Info")
    return launcher, cache


def test_boot_migrate_refresh(bench: Bench) -> None:
    asyncio.run(boot_migrate_refresh(bench))


async def boot_migrate_refresh(bench: Bench) -> None:
    one, two = bench.nodes
    keys = Keys.generate()
    vmi = vmi_of("pa", keys.user_data, "passt")
    sidecar = HookServer(edit=add_passt)
    launchers = []
    async with sidecar.serving(bench.hooks / "hook-sidecar-0" / "passt.sock"):
        for node, name, address in ((one, "source", "10.244.1.5"), (two, "target", "10.244.2.7")):
            launchers.append(await prepare(node, name, address, vmi, sidecar))
        (source, cache), (target, target_cache) = launchers
        sidecar.calls.clear()

        started = time.monotonic()
        await source.start_domain(vmi, cache, bench.guest)
        defined = time.monotonic() - started
        address, _ = await ssh(two, "10.244.1.5", keys, "ip -4 -br addr show eth0; ip route; echo kept >/tmp/marker")
        total, cpu = time.monotonic() - started, await source.cpu_seconds()
        _log.info("start_domain %.2f s, boot to SSH %.2f s, VM CPU %.1f s", defined, total, cpu)
        assert "10.244.1.5/24" in address
        assert [call.rpartition("/")[2] for call in sidecar.calls] == ["OnDefineDomain"] * 2
        assert all("ua-default" not in document for document in sidecar.inputs), "the hook was fed its own output"

        await target.prepare_target(vmi, target_cache, bench.guest)
        result = await source.migrate_to(target)
        _log.info("migration %.2f s, downtime %s ms", result.wall_seconds, result.downtime_ms)
        await source.destroy()
        up = time.monotonic()
        assert await target.refresh_links(["default"]) == ["default"]
        _log.info("refresh took %.2f s", time.monotonic() - up)
        log, seconds = await ssh(
            one, "10.244.2.7", keys, "cat /tmp/marker; ip -4 -br addr show eth0; cat /var/log/dhcp.log"
        )
        _log.info("SSH at the new address %.2f s after the refresh\n%s", seconds, log)
        assert log.startswith("kept")
        assert "10.244.2.7/24" in log
        [interface] = await target.interfaces()
        assert (interface.alias, interface.mac, interface.link_state) == ("default", "02:00:00:00:00:02", "up")
        await target.shutdown_sidecars()
        assert sidecar.calls[-1] == "/kubevirt.hooks.v1alpha3.Callbacks/Shutdown"
        await target.shutdown(0)
