"""What pods see of the data segment beside the cluster network."""

import asyncio
import json

from conformance.sandbox.network.node import Node
from conformance.sandbox.network.podnet import PodRef
from conformance.sandbox.network.pods import Json
from conformance.sandbox.supervisor import SandboxContext
from tests.sandbox.node.scenarios import NETWORKS, network

_NETWORK: Json = {"cniVersion": "1.0.0", "name": "data", "type": "bridge", "bridge": "br1"}
_ADDRESS = "172.31.0.2{index}"
# Asks the DHCP server as a guest would, with a raw frame, and prints the options it offers.
_DISCOVER = """
import socket, struct, sys
name = sys.argv[1]
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
raw.bind((name, 0)); raw.settimeout(5)
mac = raw.getsockname()[4]
dhcp = struct.pack("!BBBBIHH16x", 1, 1, 6, 0, 7, 0, 0x8000) + mac + bytes(10 + 192) + bytes.fromhex("63825363")
dhcp += bytes([53, 1, 1, 55, 4, 1, 3, 6, 51, 255])
udp = struct.pack("!HHHH", 68, 67, 8 + len(dhcp), 0) + dhcp
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\\xff" * 4)
total = sum(struct.unpack("!10H", head)); total = (total & 0xFFFF) + (total >> 16)
head = head[:10] + struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + head[12:]
raw.send(b"\\xff" * 6 + mac + b"\\x08\\x00" + head + udp)
while True:
    frame = raw.recv(2000)
    if frame[34:36] == b"\\x00\\x43":
        break
print("server", socket.inet_ntoa(frame[26:30]))
options, names = frame[14 + 20 + 8 + 240:], {1: "mask", 3: "router", 6: "dns", 51: "lease"}
while options and options[0] != 255:
    print(names.get(options[0], options[0]))
    options = options[2 + options[1]:]
"""


async def _attached(node: Node, index: int, config: Json) -> str:
    """A pod on the segment; returns its network namespace."""
    pod = PodRef("shop", f"pod{index}", f"uid-pod{index}")
    annotation = json.dumps([{"name": "data", "namespace": "shop", "interface": "data0"}])
    result = await network(node, {"shop/data": config}).setup(pod, {NETWORKS: annotation})
    await node.run("ip", "address", "add", f"{_ADDRESS.format(index=index)}/24", "dev", "data0", netns=result.netns)
    return result.netns


async def _reaches(node: Node, netns: str, index: int) -> bool:
    address = _ADDRESS.format(index=index)
    done = await node.run("ping", "-c", "1", "-W", "2", address, netns=netns, check=False)
    return done.returncode == 0


async def segment(context: SandboxContext) -> Json:
    """Two pods on two nodes."""
    config: Json = {**_NETWORK, "mtu": 1400}
    first, second = context.nodes
    here, there = await asyncio.gather(_attached(first, 1, config), _attached(second, 2, config))
    links = [
        json.loads((await node.run("ip", "-json", "link", "show", "data0", netns=netns)).stdout)[0]
        for node, netns in ((first, here), (second, there))
    ]
    seen: Json = {"mtu": [link["mtu"] for link in links], "across nodes": await _reaches(first, here, 2)}
    offer = await first.run("python3", "-c", _DISCOVER, "data0", netns=here)
    seen["offer"] = offer.stdout.decode()
    seen["autoconfigured"] = await _autoconfigured(first, here)
    routes = await first.run("ip", "-6", "route", "show", "default", "dev", "data0", netns=here)
    seen["default routes"] = routes.stdout.decode().splitlines()
    return seen


async def _autoconfigured(node: Node, netns: str) -> str:
    show = ("ip", "-json", "-6", "address", "show", "dev", "data0", "scope", "global")
    for _attempt in range(100):
        for link in json.loads((await node.run(*show, netns=netns)).stdout or b"[]"):
            for address in link.get("addr_info", ()):
                return str(address["local"])
        await asyncio.sleep(0.1)
    return ""


async def spoofing(context: SandboxContext) -> Json:
    """A pod that takes another MAC address, and its own back."""
    node = context.nodes[0]
    pod = await _attached(node, 1, {**_NETWORK, "macspoofchk": True})
    await _attached(context.nodes[1], 2, _NETWORK)
    show = await node.run("ip", "-json", "link", "show", "data0", netns=pod)
    own = json.loads(show.stdout)[0]["address"]
    seen: Json = {"own": await _reaches(node, pod, 2)}
    for name, mac in (("foreign", "02:00:00:00:00:99"), ("own again", own)):
        await node.run("ip", "link", "set", "data0", "address", mac, netns=pod)
        seen[name] = await _reaches(node, pod, 2)
    return seen
