"""What is done inside a sandbox to see each CNI version handed on and understood; each returns what it saw."""

from typing import Any

from conformance.sandbox.network.cni import CniError
from conformance.sandbox.network.podnet import PodNetworkError, PodRef
from conformance.sandbox.network.pods import Json
from conformance.sandbox.supervisor import SandboxContext
from tests.sandbox.node.scenarios import NETWORKS, events, install_probe, network, probe_calls, residue, settled

VERSIONS = ("0.3.1", "0.4.0", "1.0.0")
_HANG_SECONDS = 1.5
_PLUGINS = {
    "mute": "exit 7",
    "grumbles": "echo out of memory >&2; exit 3",
    "garbled": "echo '{\"code\": 7,'; exit 1",
    "hangs": '[ "$CNI_COMMAND" = ADD ] || exit 0; exec sleep 3600',
}


def _answer(version: str) -> Json:
    """A result as that version has it, with one address of each family."""
    ips: list[Json] = [
        {"address": "192.0.2.7/24", "gateway": "192.0.2.1", "interface": 0},
        {"address": "2001:db8::7/64", "interface": 0},
    ]
    if version != "1.0.0":
        ips = [{"version": family, **entry} for family, entry in zip("46", ips, strict=True)]
    interface = {"name": "net1", "mac": "02:00:00:00:00:09", "sandbox": "/x"}
    return {"cniVersion": version, "interfaces": [interface], "ips": ips}


def _chain(version: str, answer: Json) -> Json:
    """Two plugins: the second is given what the first has answered."""
    return {
        "cniVersion": version,
        "name": "versions",
        "plugins": [{"type": "probe", "answer": answer}, {"type": "probe", "answer": answer}],
    }


def _call(recorded: dict[str, Any]) -> list[Any]:
    """Of one call: the command, the version it was configured for, the previous result it was given."""
    return [recorded["env"]["CNI_COMMAND"], recorded["conf"]["cniVersion"], recorded["conf"].get("prevResult")]


async def every_version(context: SandboxContext) -> Json:
    """Two plugins in a chain, configured for each version in turn: added, checked, deleted."""
    node = context.nodes[0]
    install_probe(node)
    seen: Json = {}
    for version in VERSIONS:
        podnet = network(node, {"shop/versions": _chain(version, _answer(version))})
        pod, before = PodRef("shop", "p", f"uid-{version}"), len(probe_calls(node))
        result = await podnet.setup(pod, {NETWORKS: "versions"})
        checked = "ok"
        try:
            await podnet.check(pod)
        except CniError as error:
            checked = str(error)
        await podnet.teardown(pod)
        calls = [_call(call) for call in probe_calls(node)[before:]]
        seen[version] = {"status": result.network_status[1:], "checked": checked, "calls": calls}
    return seen


async def newer_than_asked(context: SandboxContext) -> Json:
    """A plugin that answers in a newer version than its configuration has: what it is given back when it is deleted."""
    node = context.nodes[0]
    install_probe(node)
    podnet = network(node, {"shop/versions": _chain("0.4.0", _answer("1.0.0"))})
    pod = PodRef("shop", "p", "uid-p")
    result = await podnet.setup(pod, {NETWORKS: "versions"})
    await podnet.teardown(pod)
    _command, _version, previous = _call(probe_calls(node)[-1])
    return {"status": result.network_status[1:], "previous": previous}


async def refused(context: SandboxContext) -> Json:
    """Every way in which a plugin can fail that says nothing that libcni understands, and what is left after each."""
    node = context.nodes[0]
    install_probe(node)
    for name, script in _PLUGINS.items():
        plugin = node.path(f"/opt/cni/bin/{name}")
        plugin.write_text(f"#!/bin/sh\ncat >/dev/null\n{script}\n", encoding="utf-8")
        plugin.chmod(0o755)
    answers = {
        "future": {"cniVersion": "2.0.0"},
        "no-list": {"ips": "192.0.2.7/24"},
        "no-address": {"ips": [{"address": "here"}]},
    }
    confs: dict[str, Json] = {name: {"type": name} for name in _PLUGINS}
    confs |= {name: {"type": "probe", "answer": answer} for name, answer in answers.items()}
    # What skel, the library of most plugins, says to a version that it does not support.
    confs["too-old"] = {"type": "probe", "failOn": "ADD", "error": _INCOMPATIBLE}
    definitions = {
        f"default/{name}": {"cniVersion": "1.0.0", "name": name, "plugins": [conf]} for name, conf in confs.items()
    }
    podnet = network(node, definitions, plugin_seconds=_HANG_SECONDS)
    await podnet.setup(PodRef("default", "warm", "uid-warm"), {})
    before = await residue(node)
    seen: Json = {}
    for name in confs:
        try:
            await podnet.setup(PodRef("shop", "launcher", "uid-launcher"), {NETWORKS: f"default/{name}"})
        except PodNetworkError as error:
            seen[name] = {"message": error.message, "events": events(error.events)}
    sleepers = await node.run("sh", "-c", "grep -lxz 360[0] /proc/[0-9]*/cmdline 2>/dev/null | wc -l")
    return {"cases": seen, "sleepers": sleepers.stdout.decode(), "before": before, "after": await settled(node, before)}


_INCOMPATIBLE: Json = {
    "code": 1,
    "msg": "incompatible CNI versions",
    "details": 'config is "1.0.0", plugin supports ["0.3.1" "0.4.0"]',
}
