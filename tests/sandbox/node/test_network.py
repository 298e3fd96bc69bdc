"""Nodes, pod networks and Multus' semantics, with the real plugins and the real kernel."""

import re

import pytest

from tests.sandbox.node.conftest import Observe

pytestmark = pytest.mark.sandbox

SANDBOX_ERROR = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "
    '"<id>": plugin type="multus" name="multus-cni-network" failed (add): '
)
ADD_ERROR = SANDBOX_ERROR + '[shop/launcher/uid-launcher:{0}]: error adding container to network "{0}": '


def without_ids(text: str) -> str:
    return re.sub(r"[0-9a-f]{64}", "<id>", text)


def test_pods_reach_each_other_across_nodes_in_both_families(inside: Observe) -> None:
    seen = inside("scenarios:pods_on_both_nodes")
    assert seen["addresses"] == [
        ["10.244.1.2", "fd00:10:244:1::2"],
        ["10.244.2.2", "fd00:10:244:2::2"],
        ["10.244.1.3", "fd00:10:244:1::3"],
        ["10.244.2.3", "fd00:10:244:2::3"],
    ]
    assert seen["reached"] == [True] * 40, "four pods, each to four pods and the outside, in two families"
    assert seen["ping_group_range"] == "0\t2147483647\n"
    assert max(seen["seconds"]) < 1.0, "a pod's network takes 20-30 ms on an idle machine"
    status = re.sub(r'"mac": "[0-9a-f:]{17}"', '"mac": "MAC"', seen["status"])
    assert status == (
        '[{\n    "name": "podnet",\n    "interface": "eth0",\n    "ips": [\n        "10.244.1.2",\n'
        '        "fd00:10:244:1::2"\n    ],\n    "mac": "MAC",\n    "default": true,\n    "dns": {},\n'
        '    "gateway": [\n        "\\u003cnil\\u003e",\n        "\\u003cnil\\u003e"\n    ]\n}]'
    )
    for left, before in zip(seen["left"], seen["before"], strict=True):
        assert left == {**before, "links": sorted([*before["links"], "cni0"])}


def test_a_node_has_a_root_of_its_own(inside: Observe) -> None:
    seen = inside("scenarios:node_isolation")
    assert seen["netns seen outside"]
    assert seen["netns gone outside"]
    assert "made-on-the-node" not in seen["other"]
    assert "vendor" not in seen["other"]
    assert "No such file or directory" in seen["root"], "the machine's files must not be visible on a node"
    assert seen["root"].endswith("br1\nbr2\neth0\neth1\neth2\neth3\nlo\n/\n")
    assert seen["socket"] == "172.30.0.1"
    assert seen["base untouched"]


def test_refusals_read_as_on_a_real_cluster_and_leave_nothing(inside: Observe) -> None:
    seen = inside("scenarios:refusals")
    assert seen["after"] == seen["before"]
    got = {name: without_ids(case["message"]) for name, case in seen["cases"].items()}
    probe = ADD_ERROR.format("fails") + 'plugin type="probe" failed (add): probe: port refused; quota'
    assert got["fails"] == probe
    assert got["absent"] == ADD_ERROR.format("absent") + (
        'plugin type="no-such-cni" failed (add): failed to find plugin "no-such-cni" in path '
        "[/opt/cni/bin /opt/cni/bin]"
    )
    assert got["talks"] == ADD_ERROR.format("talks") + (
        'plugin type="probe" failed (add): failed to unmarshal raw result: '
        "invalid character 'd' looking for beginning of value"
    )
    assert got["no-format"] == ADD_ERROR.format("no-format") + (
        'plugin type="no-format" failed (add): netplugin failed with no error message: '
        "fork/exec /opt/cni/bin/no-format: exec format error"
    )
    assert got["not-executable"] == ADD_ERROR.format("not-executable") + (
        'plugin type="not-executable" failed (add): netplugin failed with no error message: '
        "fork/exec /opt/cni/bin/not-executable: permission denied"
    )
    assert got["missing"] == SANDBOX_ERROR + (
        "Multus: [shop/launcher/uid-launcher]: error loading k8s delegates k8s args: TryLoadPodDelegates: error in "
        "getting k8s network for pod: GetNetworkDelegates: failed getting the delegate: getKubernetesDelegate: cannot "
        "find a network-attachment-definition (late-nad) in namespace (shop): "
        'network-attachment-definitions.k8s.cni.cncf.io "late-nad" not found'
    )
    assert got["bad"].endswith(
        "GetCNIConfig: err in getCNIConfigFromSpec: failed to unmarshal Spec.Config: "
        "invalid character 'n' looking for beginning of object key string"
    )
    assert got["syntax"].endswith("parsePodNetworkObjectName: Invalid network object (failed at '/')")
    assert {case["reason"] for case in seen["cases"].values()} == {"FailedCreatePodSandBox"}


def test_the_events_of_a_refusal_are_those_of_multus_and_the_kubelet(inside: Observe) -> None:
    cases = inside("scenarios:refusals")["cases"]
    added, failed = cases["fails"]["events"]
    assert added[:3] == ["multus", "Normal", "AddedInterface"]
    assert re.fullmatch(r"Add eth0 \[10\.244\.1\.\d+/24 fd00:10:244:1::\w+/64] from podnet", added[3])
    assert failed == ["kubelet", "Warning", "FailedCreatePodSandBox", cases["fails"]["message"]]
    missing, failed = cases["missing"]["events"]
    assert missing == [
        "multus",
        "Warning",
        "NoNetworkFound",
        "cannot find a network-attachment-definition (late-nad) in namespace (shop): "
        'network-attachment-definitions.k8s.cni.cncf.io "late-nad" not found',
    ]
    assert failed[2] == "FailedCreatePodSandBox"


def test_a_refused_delete_holds_the_pod_until_it_succeeds(inside: Observe) -> None:
    seen = inside("scenarios:refused_delete")
    assert without_ids(seen["message"]) == (
        'FailedKillPod: error killing pod: failed to "KillPodSandbox" for "uid-sticky" with KillPodSandboxError: '
        '"rpc error: code = Unknown desc = failed to destroy network for sandbox \\"<id>\\": plugin type=\\"multus\\" '
        'name=\\"multus-cni-network\\" failed (delete): errors: DelegateDel: error invoking DelegateDel - \\"probe\\": '
        'error in getting result from DelNetwork: probe: port refused; quota"'
    )
    assert len(seen["held"]) == 2
    assert seen["after"] == seen["before"]


def test_what_a_plugin_is_told(inside: Observe) -> None:
    seen = inside("scenarios:attachments")
    chained, binding, shaped = seen["calls"][:3]
    assert seen["links"]["pod1234567890a"] == "02:00:00:00:00:77", "the bridge plugin was given the MAC"
    assert chained["env"] == {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": seen["id"],
        "CNI_NETNS": f"/var/run/netns/{seen['netns']}",
        "CNI_IFNAME": "pod1234567890a",
        "CNI_PATH": "/opt/cni/bin:/opt/cni/bin",
        "CNI_ARGS": (
            f"IgnoreUnknown=true;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=p;K8S_POD_INFRA_CONTAINER_ID={seen['id']};"
            "K8S_POD_UID=uid-p;MAC=02:00:00:00:00:77;IP=192.0.2.9/24"
        ),
    }
    conf = chained["conf"]
    assert (conf["name"], conf["cniVersion"]) == ("chain", "0.4.0")
    assert conf["runtimeConfig"] == {"mac": "02:00:00:00:00:77"}, "only capabilities that the plugin declares"
    assert conf["args"] == {"cni": {"own": 1, "logicNetworkName": "blue"}}
    assert [link["name"] for link in conf["prevResult"]["interfaces"]][::2] == ["br-chain", "pod1234567890a"]
    assert binding["env"]["CNI_IFNAME"] == "net2"
    assert binding["conf"]["args"] == {"cni": {"logicNetworkName": "red"}}
    assert shaped["env"]["CNI_IFNAME"] == "net3"
    assert shaped["conf"]["name"] == "shaped", "a configuration without a name takes the definition's"


def test_the_network_status_has_what_lies_in_the_pod(inside: Observe) -> None:
    seen = inside("scenarios:attachments")
    assert [entry["name"] for entry in seen["status"]] == ["podnet", "shop/shaped"], (
        "neither the silent binding nor the chain whose last plugin answers nothing"
    )
    assert seen["status"][1] == {
        "name": "shop/shaped",
        "interface": "inner",
        "ips": ["192.0.2.7"],
        "mac": "02:00:00:00:00:09",
        "dns": {"nameservers": ["192.0.2.53"]},
        "gateway": ["192.0.2.1"],
    }
    assert [event[3].split(" from ")[1] for event in seen["events"]] == ["podnet", "shop/shaped"]
    assert [entry["name"] for entry in seen["short"]] == ["podnet"]


def test_deletes_run_in_reverse_from_the_cache_and_leave_nothing(inside: Observe) -> None:
    seen = inside("scenarios:attachments")
    entry = seen["cache"]["shaped-ID-net3"]
    assert entry["kind"] == "cniCacheV1"
    assert entry["networkName"] == "shaped"
    assert entry["ifName"] == "net3"
    assert entry["containerId"] == seen["id"]
    assert ["K8S_POD_UID", "uid-p"] in entry["cniArgs"]
    assert entry["result"]["interfaces"][1]["name"] == "inner"
    assert sorted(seen["cache"]) == ["binding-ID-net2", "chain-ID-pod1234567890a", "podnet-ID-eth0", "shaped-ID-net3"]
    deleted = [call for call in seen["calls"] if call["env"]["CNI_COMMAND"] == "DEL"]
    of_first = [call["env"]["CNI_IFNAME"] for call in deleted if call["env"]["CNI_CONTAINERID"] == seen["id"]]
    assert of_first == ["net3", "net2", "pod1234567890a"]
    chain = next(call for call in deleted if call["conf"]["name"] == "chain")
    assert chain["conf"]["prevResult"] == {"cniVersion": "0.4.0"}
    assert seen["left"]["netns"] == []
    assert seen["left"]["files"] == []


def test_the_segment_joins_the_nodes_and_serves_addresses(inside: Observe) -> None:
    seen = inside("segments:segment")
    assert seen["mtu"] == [1400, 1400]
    assert seen["across nodes"], "two pods on two nodes, attached to the segment by the plugin bridge"
    assert seen["autoconfigured"].startswith("fd00:31::"), "by router advertisement"
    assert seen["default routes"] == [], "the segment is no way out"
    assert "172.31.0.1" in seen["offer"], "DHCP, and neither a router nor name servers"
    assert "router" not in seen["offer"].lower()


def test_macspoofchk_lets_only_the_own_mac_address_pass(inside: Observe) -> None:
    seen = inside("segments:spoofing")
    assert seen == {"own": True, "foreign": False, "own again": True}
