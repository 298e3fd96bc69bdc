"""Debian guests: cloud-init, guest agent, block migration, and how fast each network stack notices a lost carrier.

KubeVirt's link-refresh holds the carrier down for 100 ms. systemd-networkd asks for its lease again at once;
NetworkManager waits some six seconds before it believes that a carrier is gone, so it never notices that one.
"""

import asyncio
import logging
import os
import time
from pathlib import Path

import pytest

from conformance.sandbox.guests import GuestImage, ensure_guest
from conformance.sandbox.launcher import Launcher
from tests.sandbox.launcher.bench import Bench, BenchNode, vmi_of
from tests.sandbox.launcher.guestaccess import Keys, ssh
from tests.sandbox.launcher.test_managedtap import prepare

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BOOT_SECONDS = 240.0
REACTION_SECONDS = 12.0
LONG_DOWN_SECONDS = 10.0
_CARRIER = "cat /sys/class/net/enp1s0/carrier_changes"
_log = logging.getLogger(__name__)


@pytest.fixture(params=["networkd", "networkmanager"])
def debian(request: pytest.FixtureRequest, guest: GuestImage) -> GuestImage:
    """One of the Debian guests, built if the cache has it not (minutes)."""
    return ensure_guest(guest.directory.parent, print, request.param)


def test_a_debian_guest(bench: Bench, debian: GuestImage) -> None:
    asyncio.run(boots_flaps_and_migrates(bench, debian))


async def boots_flaps_and_migrates(bench: Bench, debian: GuestImage) -> None:
    one, two = bench.nodes
    keys = Keys.generate("runcmd:\n  - echo done >/tmp/runcmd\n")
    vmi = with_container_disk(vmi_of("deb", keys.user_data, "managedtap"))
    source, cache = await prepare(one, "source", "10.244.1.5", vmi)
    mac = cache["default"].mac
    assert mac is not None
    one.serve_dhcp({mac: "10.244.1.5"})

    started = time.monotonic()
    await source.start_domain(vmi, cache, debian)
    kernel, seconds = await ssh(
        two, "10.244.1.5", keys, "cat /proc/version; echo kept >/home/fedora/marker", BOOT_SECONDS
    )
    cpu, load = await source.cpu_seconds(), os.getloadavg()[0]
    _log.info("%s: boot to SSH %.1f s, VM CPU %.1f s, load %.1f", debian.name, seconds, cpu, load)
    assert "Debian" in kernel
    await agent_reports(source, mac, started)

    short = await reaction(source, one, two, keys, 0.1)
    long = await reaction(source, one, two, keys, LONG_DOWN_SECONDS)
    _log.info(
        "%s: DHCP request after 100 ms of lost carrier: %s, after %g s: %s", debian.name, short, LONG_DOWN_SECONDS, long
    )
    assert long is not None, "a carrier that was gone for long has to make any client ask again"
    assert (short is None) is (debian.name == "networkmanager")

    await migrates(source, two, keys, vmi, debian, mac)


async def agent_reports(launcher: Launcher, mac: str, started: float) -> None:
    """The agent opens its channel and names the NIC as the guest does."""
    deadline = time.monotonic() + BOOT_SECONDS
    while not await launcher.agent_connected():
        assert time.monotonic() < deadline, "no guest agent"
        await asyncio.sleep(0.5)
    _log.info("guest agent after %.1f s", time.monotonic() - started)
    report = await launcher.ask_agent()
    assert report.system["id"] == "debian"
    [interface] = report.interfaces
    assert (interface.name, interface.mac, interface.addresses[0]) == ("enp1s0", mac, "10.244.1.5")


async def reaction(
    launcher: Launcher, server: BenchNode, peer: BenchNode, keys: Keys, down_seconds: float
) -> float | None:
    """Seconds from the carrier's return until the server sees a DHCP message; None if it sees none for a while.

    The kernel's own count proves that the guest saw the carrier go and come, whatever its network stack made of it.
    """
    before = int((await ssh(peer, "10.244.1.5", keys, _CARRIER))[0])
    seen = requests(server.dhcp_log)
    if down_seconds == 0.1:
        assert await launcher.refresh_links(["default"]) == ["default"]
    else:
        await launcher.set_link_state("default", up=False)
        await asyncio.sleep(down_seconds)
        seen = requests(server.dhcp_log)
        await launcher.set_link_state("default", up=True)
    up = time.monotonic()
    found: float | None = None
    while found is None and time.monotonic() - up < REACTION_SECONDS:
        if requests(server.dhcp_log) > seen:
            found = round(time.monotonic() - up, 2)
        await asyncio.sleep(0.05)
    after = int((await ssh(peer, "10.244.1.5", keys, _CARRIER, 60))[0])
    assert after == before + 2
    return found


async def migrates(
    source: Launcher, node: BenchNode, keys: Keys, vmi: dict[str, object], debian: GuestImage, mac: str
) -> None:
    """The root disk goes with the VM: what was written is there, and can be read after the caches are dropped."""
    target, target_cache = await prepare(node, "target", "10.244.2.7", vmi)
    node.serve_dhcp({mac: "10.244.2.7"})
    await target.prepare_target(vmi, target_cache, debian)
    result = await source.migrate_to(target)
    await source.destroy()
    _log.info("%s: migration %.1f s, downtime %s ms", debian.name, result.wall_seconds, result.downtime_ms)
    await target.set_link_state("default", up=False)
    await asyncio.sleep(LONG_DOWN_SECONDS)
    await target.set_link_state("default", up=True)
    command = (
        "sync; echo 3 | sudo -n tee /proc/sys/vm/drop_caches >/dev/null; cat /home/fedora/marker; sha256sum /bin/bash"
    )
    found, seconds = await ssh(node, "10.244.2.7", keys, command, 120)
    _log.info("%s: SSH at the new address %.1f s after the carrier's return", debian.name, seconds)
    assert found.startswith("kept\n")
    asked = time.monotonic()
    assert await target.shutdown(90), "the guest ignored the power button"
    _log.info("ACPI shutdown %.1f s", time.monotonic() - asked)


def requests(log: Path) -> int:
    """How many messages of DHCP clients the server has seen."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return text.count("DHCPREQUEST(") + text.count("DHCPDISCOVER(")


def with_container_disk(vmi: dict[str, object]) -> dict[str, object]:
    """The VMI with a containerDisk in front and memory for a whole system."""
    spec = vmi["spec"]
    assert isinstance(spec, dict)
    spec["volumes"].insert(0, {"name": "rootdisk", "containerDisk": {"image": "guest"}})
    spec["domain"]["resources"]["requests"]["memory"] = "512Mi"
    return vmi
