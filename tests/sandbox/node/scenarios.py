"""What is done inside a sandbox for the tests; each returns what it saw, the tests judge it."""

import asyncio
import json
import time
from collections.abc import Mapping

from conformance.sandbox.network.cni import PLUGIN_SECONDS
from conformance.sandbox.network.node import Node
from conformance.sandbox.network.podnet import PodNetwork, PodNetworkError, PodRef, render_network_status
from conformance.sandbox.network.pods import Json, PodEvent
from conformance.sandbox.supervisor import SandboxContext

NETWORKS = "k8s.v1.cni.cncf.io/networks"

# A CNI plugin that writes down how it was called, and answers as its configuration says.
_PROBE_PLUGIN = """#!/usr/bin/python3
import json, os, sys
conf = json.load(sys.stdin)
with open("/var/log/cni-probe.jsonl", "a") as log:
    env = {key: value for key, value in os.environ.items() if key.startswith("CNI_")}
    json.dump({"conf": conf, "env": env}, log)
    log.write("\\n")
if os.environ["CNI_COMMAND"] == conf.get("failOn"):
    error = {"code": 100, "msg": "probe: port refused", "details": "quota"}
    print(json.dumps({"cniVersion": conf["cniVersion"], **conf.get("error", error)}))
    sys.exit(1)
if os.environ["CNI_COMMAND"] == "ADD":
    print(conf.get("say") or json.dumps(conf.get("answer", {"cniVersion": conf["cniVersion"]})))
"""


def install_probe(node: Node) -> None:
    plugin = node.path("/opt/cni/bin/probe")
    plugin.write_text(_PROBE_PLUGIN, encoding="utf-8")
    plugin.chmod(0o755)
    node.path("/var/log").mkdir(exist_ok=True)


def probe_calls(node: Node) -> list[Json]:
    log = node.path("/var/log/cni-probe.jsonl")
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []


def network(node: Node, definitions: Mapping[str, object], plugin_seconds: float = PLUGIN_SECONDS) -> PodNetwork:
    """Pod networks whose NetworkAttachmentDefinitions are `<namespace>/<name>: configuration`."""

    async def lookup(namespace: str, name: str) -> Json | None:
        config = definitions.get(f"{namespace}/{name}")
        text = config if isinstance(config, str) else json.dumps(config)
        return None if config is None else {"spec": {"config": text}}

    return PodNetwork(node, lookup, plugin_seconds=plugin_seconds)


async def residue(node: Node) -> Json:
    """All that a pod's network leaves on a node: links, namespaces, leases, CNI caches."""
    links = json.loads((await node.run("ip", "-json", "link")).stdout)
    state = node.path("/var/lib/cni")
    files = [str(path.relative_to(state)) for path in state.rglob("*") if path.is_file()]
    return {
        "links": sorted(link["ifname"] for link in links),
        "netns": sorted(path.name for path in node.path("/run/netns").iterdir()),
        "files": sorted(name for name in files if "last_reserved" not in name and not name.endswith("lock")),
    }


async def settled(node: Node, wanted: Json) -> Json:
    """The residue once it is as wanted, or after 5 s: the kernel takes a namespace's links away in its own time."""
    for _attempt in range(250):
        left = await residue(node)
        if left == wanted:
            break
        await asyncio.sleep(0.02)
    return left


def events(given: tuple[PodEvent, ...]) -> list[list[str]]:
    return [[event.component, event.type, event.reason, event.message] for event in given]


async def pods_on_both_nodes(context: SandboxContext) -> Json:
    """Two pods a node; everybody pings everybody, in both families; then everything goes again."""
    before = [await residue(node) for node in context.nodes]
    networks = [network(node, {}) for node in context.nodes]
    pods: list[tuple[Node, PodNetwork, PodRef, str, tuple[str, ...]]] = []
    seconds: list[float] = []
    statuses: list[str] = []
    for number in range(4):
        pod = PodRef("default", f"pod-{number}", f"uid-{number}")
        begun = time.monotonic()
        result = await networks[number % 2].setup(pod, {})
        seconds.append(time.monotonic() - begun)
        pods.append((context.nodes[number % 2], networks[number % 2], pod, result.netns, result.pod_ips))
        statuses.append(render_network_status(result.network_status))
    targets = [address for *_rest, addresses in pods for address in addresses]
    targets += ["203.0.113.10", "2001:db8:113::10"]

    async def ping(node: Node, netns: str, address: str) -> bool:
        done = await node.run("ping", "-c1", "-W2", address, netns=netns, check=False)
        return done.returncode == 0

    reached = await asyncio.gather(*(ping(pod[0], pod[3], address) for pod in pods for address in targets))
    node, _network, _pod, netns, _addresses = pods[0]
    sysctl = await node.run("cat", "/proc/sys/net/ipv4/ping_group_range", netns=netns)
    for _node, podnet, pod, _netns, _ips in pods:
        await podnet.teardown(pod)
        await podnet.teardown(pod)
    return {
        "addresses": [list(pod[4]) for pod in pods],
        "reached": reached,
        "seconds": seconds,
        "status": statuses[0],
        "ping_group_range": sysctl.stdout.decode(),
        "left": [await residue(node) for node in context.nodes],
        "before": before,
    }


async def node_isolation(context: SandboxContext) -> Json:
    """What a node sees of the machine, of the other node, and what is private to it."""
    first, second = context.nodes
    first.path("/opt/vendor").mkdir()
    first.path("/opt/vendor/file").write_text("x", encoding="utf-8")
    await first.run("ip", "netns", "add", "made-on-the-node")
    seen = first.netns_path("made-on-the-node").exists()
    other = await second.run("ls", "/run/netns", "/opt")
    root = await first.run("sh", "-c", f"ls {context.state.path} 2>&1; cat /proc/1/comm; ls /sys/class/net; pwd")
    await first.run("ip", "netns", "delete", "made-on-the-node")
    opened = first.socket(2, 1)
    opened.bind((first.address, 0))
    address = opened.getsockname()[0]
    opened.close()
    return {
        "netns seen outside": seen,
        "netns gone outside": not first.netns_path("made-on-the-node").exists(),
        "other": other.stdout.decode(),
        "root": root.stdout.decode(),
        "socket": address,
        "base untouched": not (context.root / "opt" / "vendor").exists(),
    }


async def refusals(context: SandboxContext) -> Json:
    """Every way in which a pod's network can fail, and what is left after each."""
    node = context.nodes[0]
    install_probe(node)
    script = node.path("/opt/cni/bin/no-format")
    script.write_text("echo hello\n", encoding="utf-8")
    script.chmod(0o755)
    sealed = node.path("/opt/cni/bin/not-executable")
    sealed.write_text("#!/bin/sh\n", encoding="utf-8")
    lists = {
        name: {"cniVersion": "1.0.0", "name": name, "plugins": [{"type": "bridge", "bridge": "br-undo"}, plugin]}
        for name, plugin in {
            "fails": {"type": "probe", "failOn": "ADD"},
            "talks": {"type": "probe", "say": "debug: here I am"},
            "absent": {"type": "no-such-cni"},
            "no-format": {"type": "no-format"},
            "not-executable": {"type": "not-executable"},
        }.items()
    }
    podnet = network(node, {**{f"default/{name}": conf for name, conf in lists.items()}, "default/bad": "{not json"})
    bridge = {"cniVersion": "1.0.0", "name": "l2", "type": "bridge", "bridge": "br-undo"}
    warm = network(node, {"default/l2": bridge})
    await warm.setup(PodRef("default", "warm", "uid-warm"), {NETWORKS: "l2"})
    before = await residue(node)
    seen: Json = {}
    cases = {name: f"default/{name}" for name in lists}
    cases |= {"missing": "late-nad", "bad": "default/bad", "syntax": "a/b/c"}
    for case, annotation in cases.items():
        pod = PodRef("shop", "launcher", "uid-launcher")
        try:
            await podnet.setup(pod, {NETWORKS: annotation})
        except PodNetworkError as error:
            seen[case] = {"reason": error.reason, "message": error.message, "events": events(error.events)}
        else:
            seen[case] = None
    return {"cases": seen, "before": before, "after": await settled(node, before)}


async def refused_delete(context: SandboxContext) -> Json:
    """A plugin that refuses DEL: the pod stays, until it no longer refuses."""
    node = context.nodes[0]
    install_probe(node)
    podnet = network(node, {"default/sticky": {"cniVersion": "1.0.0", "type": "probe", "failOn": "DEL"}})
    await podnet.setup(PodRef("default", "warm", "uid-warm"), {})
    before = await residue(node)
    pod = PodRef("shop", "launcher", "uid-sticky")
    await podnet.setup(pod, {NETWORKS: "default/sticky"})
    message = ""
    try:
        await podnet.teardown(pod)
    except PodNetworkError as error:
        message = f"{error.reason}: {error.message}"
    held = sorted(path.name for path in node.path("/run/netns").iterdir())
    node.path("/opt/cni/bin/probe").write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    await podnet.teardown(pod)
    return {"message": message, "held": held, "before": before, "after": await settled(node, before)}


async def attachments(context: SandboxContext) -> Json:
    """Interface names, MAC, arguments, chaining, versions, results of every shape."""
    node = context.nodes[0]
    install_probe(node)
    silent = {"cniVersion": "1.0.0", "name": "binding", "plugins": [{"type": "probe"}]}
    chain = {
        "cniVersion": "0.4.0",
        "name": "chain",
        "plugins": [
            {"type": "bridge", "bridge": "br-chain", "capabilities": {"mac": True}},
            {"type": "probe", "capabilities": {"mac": True, "ips": False}, "args": {"cni": {"own": 1}}},
        ],
    }
    answer = {
        "cniVersion": "0.3.1",
        "interfaces": [{"name": "outer"}, {"name": "inner", "sandbox": "/x", "mac": "02:00:00:00:00:09"}],
        "ips": [{"version": "4", "address": "192.0.2.7/24", "gateway": "192.0.2.1", "interface": 1}],
        "routes": [{"dst": "0.0.0.0/0", "gw": "192.0.2.1"}],
        "dns": {"nameservers": ["192.0.2.53"]},
    }
    shaped = {"cniVersion": "0.3.1", "type": "probe", "answer": answer}
    definitions = {"shop/binding": silent, "default/chain": chain, "shop/shaped": shaped}
    podnet = network(node, definitions)
    selection = [
        {
            "name": "chain",
            "namespace": "default",
            "interface": "pod1234567890a",
            "mac": "02:00:00:00:00:77",
            "ips": ["192.0.2.9/24"],
            "cni-args": {"logicNetworkName": "blue"},
        },
        {"name": "binding", "cni-args": {"logicNetworkName": "red"}},
        {"name": "shaped"},
    ]
    result = await podnet.setup(PodRef("shop", "p", "uid-p"), {NETWORKS: json.dumps(selection)})
    links = json.loads((await node.run("ip", "-json", "link", netns=result.netns)).stdout)
    short = await podnet.setup(PodRef("shop", "q", "uid-q"), {NETWORKS: "binding, default/chain@blue0"})
    cache = {
        path.name.replace(result.sandbox_id, "ID"): json.loads(path.read_text(encoding="utf-8"))
        for path in node.path("/var/lib/cni/results").iterdir()
        if result.sandbox_id in path.name
    }
    # The definitions may change or go while the pod runs: DEL works from what was given.
    definitions.clear()
    await podnet.teardown(PodRef("shop", "p", "uid-p"))
    await podnet.teardown(PodRef("shop", "q", "uid-q"))
    return {
        "id": result.sandbox_id,
        "netns": result.netns,
        "status": result.network_status,
        "events": events(result.events),
        "links": {link["ifname"]: link["address"] for link in links},
        "short": short.network_status,
        "calls": probe_calls(node),
        "cache": cache,
        "left": await residue(node),
    }
