"""What is left on a node, and whose it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from conformance.model import JsonObject
from fixtures.nodestate import residue, things_of

LOOK = Path(__file__).parents[3] / "fixtures/node_look.py"


def record(container: str, pod: str, veth: str, netns: str) -> str:
    interfaces = [{"name": "cni0"}, {"name": veth}, {"name": "eth0", "sandbox": f"/run/netns/{netns}"}]
    arguments = [["K8S_POD_NAMESPACE", "ns"], ["K8S_POD_NAME", pod]]
    return json.dumps({"containerId": container, "cniArgs": arguments, "result": {"interfaces": interfaces}})


def look(**changes: object) -> JsonObject:
    seen: dict[str, object] = {
        "links": ["lo", "cni0", "veth1"],
        "netns": ["cni-1"],
        "cni": {"cbr0-c1-eth0": record("c1", "pod-1", "veth1", "cni-1")},
        "ipam": {"cbr0/10.244.1.5": "c1"},
        "multus": ["c1"],
        "processes": [],
    }
    found: JsonObject = json.loads(json.dumps({**seen, **changes}))
    return found


def test_every_thing_of_a_pod_has_its_owner() -> None:
    owned = {(thing.sort, thing.name) for thing in things_of("node-1", look()) if thing.owner == "ns/pod-1"}
    assert owned == {
        ("link", "veth1"),
        ("network namespace", "cni-1"),
        ("CNI record", "cbr0-c1-eth0"),
        ("reserved address", "cbr0/10.244.1.5"),
        ("Multus record", "c1"),
    }


def test_what_a_living_pod_owns_is_no_residue() -> None:
    empty = things_of("node-1", look(links=["lo", "cni0"], netns=[], cni={}, ipam={}, multus=[]))
    now = things_of("node-1", look())
    assert residue(empty, now, {"ns/pod-1"}) == ()
    assert len(residue(empty, now, {"ns/another"})) == 5


def test_a_link_without_an_owner_is_residue() -> None:
    before, now = things_of("node-1", look()), things_of("node-1", look(links=["lo", "cni0", "veth1", "kbc1"]))
    assert [str(thing) for thing in residue(before, now, {"ns/pod-1"})] == ["link kbc1 on node-1"]


def test_what_was_there_before_is_no_residue() -> None:
    assert residue(things_of("node-1", look()), things_of("node-1", look()), set()) == ()


def test_a_half_written_record_owns_nothing() -> None:
    things = things_of("node-1", look(cni={"cbr0-c1-eth0": "{"}))
    assert {thing.owner for thing in things} == {""}


def test_the_look_runs_anywhere_and_sees_processes_by_word() -> None:
    marker = f"nodestate-{os.getpid()}"
    with subprocess.Popen(["sh", "-c", "read _", marker], stdin=subprocess.PIPE) as process:
        seen = json.loads(subprocess.run([sys.executable, str(LOOK), marker], capture_output=True, check=True).stdout)
        process.communicate()
    assert seen["processes"] == [f"sh {marker}"]
    assert "lo" in seen["links"]
