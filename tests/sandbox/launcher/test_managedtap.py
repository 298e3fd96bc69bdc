"""A managedTap VM from boot to its second lease after a migration."""

import asyncio
import logging
import os
import time
from collections.abc import Mapping

import pytest

from conformance.sandbox.launcher import Launcher, MigrationError, PodInterfaces, connect_console, setup_pod_network
from tests.sandbox.launcher.bench import Bench, BenchNode, Pod, vmi_of
from tests.sandbox.launcher.guestaccess import Keys, ssh

REGISTRATIONS: Mapping[str, Mapping[str, object]] = {
    "managedtap": {"domainAttachmentType": "managedTap", "migration": {"method": "link-refresh"}}
}
_log = logging.getLogger(__name__)


async def prepare(node: BenchNode, name: str, address: str, vmi: dict[str, object]) -> tuple[Launcher, PodInterfaces]:
    """A launcher pod whose network is set up and whose libvirtd answers."""
    launcher = node.add_pod(Pod("bench", name), address)
    cache = await setup_pod_network(node, name, vmi, REGISTRATIONS)
    await launcher.wait_ready(30)
    return launcher, cache


def test_boot_migrate_refresh(bench: Bench) -> None:
    asyncio.run(boot_migrate_refresh(bench))


async def boot_migrate_refresh(bench: Bench) -> None:
    one, two = bench.nodes
    keys = Keys.generate("runcmd:\n  - echo done >/tmp/runcmd\n")
    vmi = vmi_of("mt", keys.user_data, "managedtap")
    source, cache = await prepare(one, "source", "10.244.1.5", vmi)
    mac = cache["default"].mac
    assert mac is not None
    assert cache["default"].addresses == ("10.244.1.5",)
    one.serve_dhcp({mac: "10.244.1.5"})

    started = time.monotonic()
    await source.start_domain(vmi, cache, bench.guest)
    _log.info("start_domain %.2f s, load %.1f", time.monotonic() - started, os.getloadavg()[0])
    facts, _ = await ssh(two, "10.244.1.5", keys, "hostname; ip -4 -br addr show eth0; cat /tmp/runcmd; uptime", 12)
    _log.info("boot to SSH %.2f s, VM CPU %.1f s", time.monotonic() - started, await source.cpu_seconds())
    assert facts.split()[0] == "mt"
    assert "10.244.1.5/24" in facts
    [interface] = await source.interfaces()
    assert (interface.alias, interface.mac, interface.target) == ("default", mac, "tap0")
    await login_on_console(source)
    await ssh(two, "10.244.1.5", keys, "echo kept >/tmp/marker; cat /sys/class/net/eth0/carrier_changes >/tmp/before")

    target, target_cache = await prepare(two, "target", "10.244.2.7", vmi)
    two.serve_dhcp({mac: "10.244.2.7"})
    await target.prepare_target(vmi, target_cache, bench.guest)
    await check_abort(source, target)
    result = await source.migrate_to(target)
    _log.info("migration %.2f s, downtime %s ms", result.wall_seconds, result.downtime_ms)
    assert await target.state() == "running"
    assert await source.state() == "shutoff"
    await source.destroy()

    up = time.monotonic()
    assert await target.refresh_links(["default"]) == ["default"]
    _log.info("refresh took %.2f s", time.monotonic() - up)
    log, seconds = await ssh(
        one,
        "10.244.2.7",
        keys,
        "cat /tmp/marker /var/log/dhcp.log; cat /tmp/before; cat /sys/class/net/eth0/carrier_changes /proc/uptime",
    )
    _log.info(
        "SSH at the new address %.2f s after the refresh, VM CPU %.1f s\n%s", seconds, await target.cpu_seconds(), log
    )
    assert log.startswith("kept")
    assert "new=10.244.2.7" in log
    before, after = (int(word) for word in log.split("\n")[-4:-2])
    assert after == before + 2
    [moved] = await target.interfaces()
    assert moved.mac == mac
    asked = time.monotonic()
    assert await target.shutdown(20), "the guest ignored the power button"
    _log.info("ACPI shutdown %.2f s", time.monotonic() - asked)


async def check_abort(source: Launcher, target: Launcher) -> None:
    """A migration slowed down to 1 MiB/s is aborted once it reports progress; the VM runs on at the source."""
    assert not await source.abort_migration(), "there was nothing to abort"
    await source.libvirt.call("migrate-setspeed", source.domain, "1")
    moving: asyncio.Queue[Mapping[str, str]] = asyncio.Queue()
    migrating = asyncio.ensure_future(source.migrate_to(target, moving.put_nowait))
    async with asyncio.timeout(20):
        while "Memory remaining" not in await moving.get():
            pass
    assert await source.abort_migration()
    with pytest.raises(MigrationError) as caught:
        await migrating
    assert caught.value.aborted, str(caught.value)
    assert (await source.state(), await target.state()) == ("running", "nostate")
    await source.libvirt.call("migrate-setspeed", source.domain, "8796093022207")


async def login_on_console(launcher: Launcher) -> None:
    console = await connect_console(launcher.console)
    await console.write(b"\n")
    await console.read_until(b"mt login: ", 10)
    await console.write(b"fedora\n")
    await console.read_until(b"Password: ", 10)
    await console.write(b"fedora\n")
    await console.read_until(b"[fedora@mt ~]$ ", 10)
    await console.write(b"echo $((6*7))\n")
    await console.read_until(b"42", 10)
    await console.write(b"exit\n")
    await console.read_until(b"login: ", 10)
    console.close()
