"""The network-status annotation from CNI results of every shape."""

from conformance.sandbox.network.pods import Json
from conformance.sandbox.network.status import (
    network_statuses,
    normalise_result,
    render_network_status,
    result_addresses,
)

BRIDGE: Json = {
    "interfaces": [
        {"name": "cni0", "mac": "02:00:00:00:00:01"},
        {"name": "veth1", "mac": "02:00:00:00:00:02"},
        {"name": "eth0", "mac": "02:00:00:00:00:03", "mtu": 1400, "sandbox": "/var/run/netns/x"},
    ],
    "ips": [{"address": "10.244.1.5/24", "gateway": "10.244.1.1", "interface": 2}],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "10.0.0.0/8", "gw": "10.244.1.9"}],
}


def test_only_what_lies_in_the_pod() -> None:
    assert network_statuses(BRIDGE, "podnet", default=True) == [
        {
            "name": "podnet",
            "interface": "eth0",
            "ips": ["10.244.1.5"],
            "mac": "02:00:00:00:00:03",
            "mtu": 1400,
            "default": True,
            "dns": {},
            "gateway": ["<nil>"],
        }
    ]


def test_a_result_without_interfaces_has_no_entry() -> None:
    assert network_statuses({}, "shop/passt", default=False) == []


def test_a_single_interface_has_an_entry_even_outside() -> None:
    result: Json = {"interfaces": [{"name": "host0", "mac": "02:00:00:00:00:01"}]}
    assert network_statuses(result, "shop/x", default=False) == [{"name": "shop/x", "dns": {}}]


def test_two_pod_interfaces_have_one_entry_each() -> None:
    inside = "/var/run/netns/x"
    result: Json = {
        "interfaces": [{"name": "a", "sandbox": inside}, {"name": "out"}, {"name": "b", "sandbox": inside}],
        "ips": [
            {"address": "192.0.2.1/24", "interface": 0},
            {"address": "192.0.2.2/24", "gateway": "192.0.2.254", "interface": 2},
            {"address": "192.0.2.3/24"},
        ],
    }
    first, second = network_statuses(result, "n", default=True)
    assert (first["interface"], first["ips"], first.get("default")) == ("a", ["192.0.2.1"], None)
    assert (second["interface"], second["ips"], second.get("default")) == ("b", ["192.0.2.2", "192.0.2.3"], True)


def test_results_of_old_versions() -> None:
    old: Json = {"cniVersion": "0.2.0", "ip4": {"ip": "192.0.2.1/24", "routes": [{"dst": "0.0.0.0/0"}]}}
    shaped = normalise_result(old)
    assert result_addresses(shaped) == ["192.0.2.1/24"]
    assert shaped["routes"] == [{"dst": "0.0.0.0/0"}]
    assert normalise_result({"cniVersion": "1.0.0", "dns": {}}) == {}


def test_the_annotation_is_written_as_multus_writes_it() -> None:
    status: list[Json] = [{"name": "a", "gateway": ["<nil>"], "dns": {}}, {"name": "b", "dns": {}}]
    assert render_network_status(status) == (
        '[{\n    "name": "a",\n    "gateway": [\n        "\\u003cnil\\u003e"\n    ],\n    "dns": {}\n},'
        '{\n    "name": "b",\n    "dns": {}\n}]'
    )
    assert render_network_status([]) == "[]"
