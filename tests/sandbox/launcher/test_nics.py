"""One VM with two NICs: plumbing, cloud-init data, link states, libvirt's refusals, pause and stop."""

import asyncio
import json
import logging
from collections.abc import Mapping

import pytest

from conformance.sandbox.launcher import DomainError, Launcher, PodInterfaces, setup_pod_network
from tests.sandbox.launcher.bench import Bench, BenchNode, Pod, vmi_of
from tests.sandbox.launcher.guestaccess import Keys, ssh

REGISTRATIONS: Mapping[str, Mapping[str, object]] = {"managedtap": {"domainAttachmentType": "managedTap"}}
SECONDARY_POD, SECONDARY_MAC = "pod16477688c0e", "02:00:00:00:00:22"
_log = logging.getLogger(__name__)
_CONFIG = """
users:
  - default
  - name: ann
    ssh_authorized_keys: []
chpasswd:
  list: |
    ann:secret
write_files:
  - path: /etc/probe/file
    permissions: '0640'
    encoding: b64
    content: aGVsbG8K
bootcmd:
  - echo early >/tmp/boot
runcmd:
  - [sh, -c, 'cat /tmp/boot /etc/probe/file >/tmp/run']
"""
_NETWORK = f"""
version: 2
ethernets:
  first: {{match: {{name: eth0}}, dhcp4: true}}
  second:
    match: {{macaddress: '{SECONDARY_MAC}'}}
    addresses: [192.168.7.5/24]
    routes: [{{to: 192.168.8.0/24, via: 192.168.7.1}}]
    nameservers: {{addresses: [192.168.7.53], search: [blue.test]}}
"""


def test_two_nics(bench: Bench) -> None:
    asyncio.run(two_nics(bench))


def vmi(keys: Keys) -> dict[str, object]:
    """A VMI with the pod network and a secondary one whose link starts down."""
    second = {"name": "blue", "binding": {"name": "managedtap"}, "macAddress": SECONDARY_MAC, "state": "down"}
    document = vmi_of("two", keys.user_data, "managedtap", [second])
    spec = document["spec"]
    assert isinstance(spec, dict)
    spec["networks"].append({"name": "blue", "multus": {"networkName": "blue"}})
    spec["volumes"][0]["cloudInitNoCloud"]["networkData"] = _NETWORK
    return document


async def two_nics(bench: Bench) -> None:
    node, other = bench.nodes
    keys = Keys.generate(_CONFIG)
    document = vmi(keys)
    launcher = node.add_pod(Pod("bench", "two"), "10.244.1.5")
    node.ip(f"link add {SECONDARY_POD} mtu 1400 type veth peer name far\nlink set far up\n", "two")
    cache = await setup_pod_network(node, "two", document, REGISTRATIONS)
    await check_plumbing(node, cache)
    mac = cache["default"].mac
    assert mac is not None
    node.serve_dhcp({mac: "10.244.1.5"})
    await launcher.wait_ready(30)
    await check_refusal(launcher, document, cache, bench)

    await launcher.start_domain(document, cache, bench.guest)
    facts, seconds = await ssh(
        other,
        "10.244.1.5",
        keys,
        "cat /tmp/run; grep ^ann: /etc/passwd; cat /etc/resolv.conf; "
        "cat /sys/class/net/eth1/carrier /sys/class/net/eth1/mtu; ip -br address show eth1; id -un; sudo -n id -u",
    )
    _log.info("SSH after %.2f s\n%s", seconds, facts)
    assert facts.startswith("early\nhello\nann:$1$")
    for expected in ("nameserver 192.168.7.53", "search blue.test", "\n0\n1400\n", "192.168.7.5/24"):
        assert expected in facts
    await check_links(launcher, other, keys)
    renewed, _ = await ssh(other, "10.244.1.5", keys, "dhcpcd --rebind eth0; sleep 1; cut -d' ' -f3 /var/log/dhcp.log")
    assert {"reason=REBIND", "reason=RENEW"} & set(renewed.split()), renewed
    await launcher.pause()
    assert await launcher.state() == "paused"
    await launcher.resume()
    waiting = asyncio.ensure_future(launcher.wait_stopped())
    await ssh(other, "10.244.1.5", keys, "nohup sh -c 'sleep 0.2; poweroff' >/dev/null 2>&1 &")
    async with asyncio.timeout(20):
        assert await waiting == "shutoff"


async def check_plumbing(node: BenchNode, cache: PodInterfaces) -> None:
    """What netpod leaves in the pod, and that the stand-in answers nobody."""
    default, blue = cache["default"], cache["blue"]
    assert (default.target, default.addresses, default.mtu) == ("tap0", ("10.244.1.5",), 1500)
    assert (blue.target, blue.pod_interface, blue.mtu) == ("tap16477688c0e", SECONDARY_POD, 1400)
    done = await node.run("ip", "-json", "-details", "address", "show", netns="two")
    links = {link["ifname"]: link for link in json.loads(done.stdout)}
    assert {"eth0", "eth0-nic", "k6t-eth0", "tap0", SECONDARY_POD, "16477688c0e-nic", "k6t-16477688c0e"} <= set(links)
    assert links["eth0"]["address"] == default.mac != links["eth0-nic"]["address"] == links["k6t-eth0"]["address"]
    assert [info["local"] for info in links["eth0"]["addr_info"]] == ["10.244.1.5"]
    assert links["eth0-nic"]["addr_info"] == []
    assert links["tap16477688c0e"]["mtu"] == 1400
    port = links["eth0-nic"]["linkinfo"]["info_slave_data"]
    assert (links["eth0-nic"]["master"], port["learning"]) == ("k6t-eth0", False)
    await node.run("ping", "-c", "1", "-W", "1", "10.244.1.5", check=False)
    neighbours = await node.run("ip", "neigh", "show", "10.244.1.5")
    assert b"lladdr" not in neighbours.stdout, "the pod answers ARP in the guest's place"


async def check_refusal(launcher: Launcher, document: dict[str, object], cache: PodInterfaces, bench: Bench) -> None:
    """libvirt's own words reach the VMI, and the same pod can start the VM afterwards."""
    broken = json.loads(json.dumps(document))
    broken["spec"]["domain"]["devices"]["interfaces"][0]["model"] = "no such model"
    with pytest.raises(DomainError) as caught:
        await launcher.start_domain(broken, cache, bench.guest)
    assert caught.value.sync_message.startswith('server error. command SyncVMI failed: "')
    assert "Model name contains invalid characters" in caught.value.sync_message
    assert await launcher.state() == "nostate"


async def check_links(launcher: Launcher, node: BenchNode, keys: Keys) -> None:
    """Link states by alias: one interface changes, the other does not."""
    states = {interface.alias: interface.link_state for interface in await launcher.interfaces()}
    assert states == {"default": "up", "blue": "down"}
    count = "cat /sys/class/net/eth0/carrier_changes /sys/class/net/eth1/carrier_changes"
    before, _ = await ssh(node, "10.244.1.5", keys, count)
    assert await launcher.refresh_links(["blue", "unknown"]) == ["blue"], "unknown names are passed over"
    assert await launcher.set_link_state("blue", True)
    assert not await launcher.set_link_state("unknown", True)
    after, _ = await ssh(node, "10.244.1.5", keys, f"sleep 0.5; {count}; cat /sys/class/net/eth1/carrier")
    first, second, carrier = (int(word) for word in after.split())
    assert [first, second] == [int(word) + change for word, change in zip(before.split(), (0, 1), strict=True)]
    assert carrier == 1
    states = {interface.alias: interface.link_state for interface in await launcher.interfaces()}
    assert states == {"default": "up", "blue": "up"}
