"""What is on a sandbox, seen from outside it: processes, mounts, networks, files and API objects, as countable words.

Two snapshots are compared with `left`: what a VM, a binding or a run leaves behind is in the second alone.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from kubernetes.client import ApiClient
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.resource import ResourceList

from conformance.kube.official import configuration
from conformance.sandbox.daemon import RunningSandbox
from conformance.sandbox.roots import node_root
from conformance.sandbox.state import default_cache_dir
from tests.bench.processes import descendants

# Logs grow, the API's storage is judged by its objects, and pulled images stay on a node.
_KEPT_DIRECTORIES = ("log", "api", "images")
# What the first pod of a node leaves there, whatever its network: an installed CNI plugin, the directories of the
# container runtime and of libcni, host-local's lock and the address that it gave last; the first VM, a place for more.
_KEPT = re.compile(
    r"run/vm|nodes/[^/]+/(opt-cni-bin/[^/]+|layers/containers(/crun)?"
    r"|var-lib-cni/(results|multus|networks|networks/[^/]+(/lock|/last_reserved_ip\.[0-9]+)?))"
)
# Said anew all the time, and by nobody's order.
_PASSING_KINDS = {"Event", "Lease"}
_NETWORK = {
    "link": ("ip", "-j", "-d", "link"),
    "address": ("ip", "-j", "address"),
    "route": ("ip", "-j", "route", "show", "table", "all"),
    "rule": ("ip", "-j", "rule"),
}
# untyped, as the official clients are
_dynamic_client = cast("Callable[[ApiClient], Any]", DynamicClient)

Snapshot = Counter[str]
"""How often each word was there: ``process virtqemud --config ...``, ``mount node-1 /run/netns/x nsfs``, ..."""


def snapshot(sandbox: RunningSandbox) -> Snapshot:
    """Everything at this moment. What ends while it is looked at is not in it."""
    return Counter([*_processes(sandbox.record.pid), *_files(sandbox.state.path), *_objects(sandbox.kubeconfig)])


def left(before: Snapshot, after: Snapshot) -> list[str]:
    """What only `after` has, with a ``+``, and what only `before` has, with a ``-``."""
    return [*(f"+ {word}" for word in sorted((after - before).elements()))] + [
        f"- {word}" for word in sorted((before - after).elements())
    ]


def _processes(outer: int) -> Iterator[str]:
    """Each process by its command line, and each mount and network namespace but the machine's by what is in it."""
    seen = {os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "net")}
    for pid in (outer, *descendants(outer)):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            spaces = {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("mnt", "net")}
            fresh = {kind for kind, space in spaces.items() if space not in seen}
            found = [f"process {command}"]
            owner = Path(command.partition(" ")[0]).name
            found += _mounts(pid, owner) if "mnt" in fresh else ()
            found += _network(pid, owner) if "net" in fresh else ()
        except (OSError, subprocess.CalledProcessError):
            if Path(f"/proc/{pid}").exists():
                raise
            continue
        seen |= set(spaces.values())
        yield from found


def _mounts(pid: int, owner: str) -> Iterator[str]:
    """Mount point and file system (proc(5), mountinfo fields 5 and, behind the dash, the first)."""
    for line in Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8").splitlines():
        ours, _, theirs = line.partition(" - ")
        yield f"mount of {owner}: {ours.split()[4]} {theirs.split()[0]}"


def _network(pid: int, owner: str) -> Iterator[str]:
    """Links, addresses, routes and rules of the packet filter in the network namespace of a process.

    The tools are those of the node root: the machine need not have them.
    """

    root = node_root(default_cache_dir())
    assert root is not None

    def told(*words: str) -> str:
        command = ("nsenter", "-t", str(pid), "-n", "chroot", str(root), *words)
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

    for what, words in _NETWORK.items():
        for entry in json.loads(told(*words) or "[]"):
            yield f"{what} of {owner}: {_plain(what, entry)}"
    for line in told("nft", "--stateless", "list", "ruleset").splitlines():
        yield f"filter of {owner}: {line.strip()}"


def _plain(what: str, entry: dict[str, object]) -> str:
    """One entry of iproute2 without what counts or changes by itself."""
    if what == "address":
        infos = entry["addr_info"]
        assert isinstance(infos, list)
        return f"{entry['ifname']} {sorted(info['local'] for info in infos)}"
    keys = {
        "link": ("ifname", "mtu", "operstate", "master", "qdisc"),
        "rule": ("priority", "src", "dst", "table"),
    }.get(what, ("type", "dst", "gateway", "dev", "table"))
    return " ".join(f"{key}={entry[key]}" for key in keys if key in entry)


def _files(state: Path) -> Iterator[str]:
    """Every file and directory of the state directory: nodes' layers, CNI state, pods, sockets."""
    for path, directories, names in os.walk(state):
        here = Path(path).relative_to(state)
        if here == Path():
            directories[:] = [name for name in directories if name not in _KEPT_DIRECTORIES]
        for name in (*directories, *names):
            if not _KEPT.fullmatch(str(here / name)):
                yield f"file {here / name}"


def _objects(kubeconfig: Path) -> Iterator[str]:
    """Every object of the API by kind, namespace and name."""
    with ApiClient(configuration(kubeconfig, None)) as client:
        for resource in _dynamic_client(client).resources.search():
            if isinstance(resource, ResourceList) or "list" not in resource.verbs or resource.kind in _PASSING_KINDS:
                continue
            for item in json.loads(resource.get(serialize=False).data)["items"]:
                meta = item["metadata"]
                yield f"object {resource.kind} {meta.get('namespace', '')}/{meta['name']}"
