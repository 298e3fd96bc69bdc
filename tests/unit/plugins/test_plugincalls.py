"""A plugin is called on a node as libcni would call it, and its answers are read as libcni would read them."""

from __future__ import annotations

import base64
import json

import pytest

from fixtures.cnirecords import CniRecord
from fixtures.plugincalls import Answer, Call, calls

FIRST = {"type": "first", "capabilities": {"mac": True, "ips": False}}
CHAIN = {"cniVersion": "1.0.0", "name": "net", "plugins": [FIRST, {"type": "second"}]}
RESULT = {"cniVersion": "1.0.0", "interfaces": [{"name": "veth1"}, {"name": "eth0", "sandbox": "/run/netns/cni-1"}]}


def entry(**changes: object) -> CniRecord:
    """A cache entry as libcni writes it, read."""
    content = {
        "kind": "cniCacheV1",
        "containerId": "c1",
        "config": base64.b64encode(json.dumps(CHAIN).encode()).decode(),
        "ifName": "net1",
        "networkName": "net",
        "cniArgs": [["K8S_POD_NAMESPACE", "ns"], ["K8S_POD_NAME", "pod-1"]],
        "capabilityArgs": {"mac": "02:00:00:00:00:01", "ips": ["192.0.2.1"]},
        "result": RESULT,
    }
    record = CniRecord.of(json.dumps({**content, **changes}))
    assert record is not None
    return record


def test_every_plugin_of_a_chain_is_called_with_the_result() -> None:
    first, second = calls("CHECK", entry())
    assert first.environment == {
        "CNI_COMMAND": "CHECK",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": "/run/netns/cni-1",
        "CNI_IFNAME": "net1",
        "CNI_ARGS": "K8S_POD_NAMESPACE=ns;K8S_POD_NAME=pod-1",
    }
    common = {"name": "net", "cniVersion": "1.0.0", "prevResult": RESULT}
    assert second.config == {"type": "second", **common}
    assert first.config == {**FIRST, **common, "runtimeConfig": {"mac": "02:00:00:00:00:01"}}
    assert (first.plugin, second.plugin) == ("first", "second")


def test_a_single_plugin_is_a_chain_of_one() -> None:
    alone = base64.b64encode(json.dumps({"cniVersion": "0.3.1", "name": "net", "type": "only"}).encode()).decode()
    [call] = calls("DEL", entry(config=alone, result={}))
    assert call.config == {"cniVersion": "0.3.1", "name": "net", "type": "only"}


def test_the_network_namespace_is_the_runtimes_own_word_where_it_has_one() -> None:
    assert entry(netns="/var/run/netns/cni-2").netns == "/var/run/netns/cni-2"
    assert entry(result={}).netns == ""


@pytest.mark.parametrize("content", ["{", "[]", '{"config": "%%%"}'])
def test_a_record_that_is_none_is_none(content: str) -> None:
    assert CniRecord.of(content) is None


@pytest.mark.parametrize(
    ("stdout", "error"),
    [
        ('{"cniVersion": "1.0.0", "code": 5, "msg": "no netns"}', "no netns"),
        ('{"cniVersion": "1.0.0", "msg": "no code"}', ""),
        ('{"cniVersion": "1.0.0"}', ""),
        ("panic: no netns", ""),
        ('oops {"code": 5, "msg": "no netns"}', ""),
    ],
)
def test_an_error_is_an_object_with_code_and_message(stdout: str, error: str) -> None:
    assert Answer(Call("p", {"CNI_COMMAND": "ADD", "CNI_NETNS": ""}, {}), 1, stdout, "").error() == error
