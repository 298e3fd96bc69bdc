"""What the sandbox's KubeVirt says and does differs by version as the real one's did: one table a behaviour."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.sandbox.apiserver.errors import Cause
from conformance.sandbox.kubevirt import spec
from conformance.sandbox.kubevirt.bindingrules import deprecation_warnings, discontinued_causes
from conformance.sandbox.kubevirt.clusterconfig import ClusterConfig, needed_gates
from conformance.sandbox.kubevirt.definitions import definitions
from conformance.sandbox.kubevirt.facts import facts_for
from conformance.sandbox.kubevirt.networkrules import network_causes
from conformance.sandbox.kubevirt.vmistatus import served_fields
from tests.unit.sandbox.byversion import ALL, Object, kubevirt, since, texts, view

PATH = "spec.domain.devices.interfaces[0]"


# ------------------------------------------------------------------------------------------------ API fields


def schema(version: str, kind: str) -> Object:
    """The schema of one kind's spec."""
    crd = next(d for d in definitions(facts_for(version)) if d["spec"]["names"]["kind"] == kind)
    found: Object = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return found


@pytest.mark.parametrize(
    ("version", "fields"),
    since(
        ("v1.1", {"sidecarImage", "networkAttachmentDefinition", "domainAttachmentType"}),
        ("v1.2", {"sidecarImage", "networkAttachmentDefinition", "domainAttachmentType", "migration"}),
        (
            "v1.3",
            {
                *("sidecarImage", "networkAttachmentDefinition", "domainAttachmentType", "migration"),
                *("downwardAPI", "computeResourceOverhead"),
            },
        ),
    ),
)
def test_a_registration_has_the_fields_of_the_version(version: str, fields: set[str]) -> None:
    network = schema(version, "KubeVirt")["configuration"]["properties"]["network"]["properties"]
    assert set(network["binding"]["additionalProperties"]["properties"]) == fields


@pytest.mark.parametrize(
    ("version", "later"), since(("v1.1", set()), ("v1.8", {"passtBinding"}), ("v1.9", {"passtBinding", "portRanges"}))
)
@pytest.mark.parametrize("kind", ["VirtualMachine", "VirtualMachineInstance"])
def test_an_interface_has_the_fields_of_the_version(version: str, later: set[str], kind: str) -> None:
    found = schema(version, kind)
    found = found["template"]["properties"]["spec"]["properties"] if kind == "VirtualMachine" else found
    fields = found["domain"]["properties"]["devices"]["properties"]["interfaces"]["items"]["properties"]
    assert {"passtBinding", "portRanges"} & set(fields) == later
    assert {"binding", "slirp", "macvtap", "passt", "state", "ports"} <= set(fields)
    sources = set(found["networks"]["items"]["properties"]) - {"name"}
    assert sources == ({"pod", "multus", "resourceClaim"} if version == "v1.9" else {"pod", "multus"})


@pytest.mark.parametrize(
    ("version", "kept"),
    since(
        ("v1.1", {"name"}),
        ("v1.4", {"name", "podInterfaceName"}),
        ("v1.5", {"name", "podInterfaceName", "linkState"}),
    ),
)
def test_status_interfaces_have_the_fields_of_the_version(version: str, kept: set[str]) -> None:
    entry = {"name": "n", "podInterfaceName": "eth0", "linkState": "up"}
    assert set(served_fields(entry, facts_for(version))) == kept


# ------------------------------------------------------------------------------------------------ gates


@pytest.mark.parametrize(("version", "needed"), since(("v1.1", ["NetworkBindingPlugins"]), ("v1.5", [])))
def test_plugins_need_their_gate_up_to_1_4(version: str, needed: list[str]) -> None:
    assert needed_gates(facts_for(version)) == needed
    refused = network_causes(view(version, {"binding": {"name": "b"}}, kubevirt()))
    wanted = [Cause("FieldValueInvalid", "Binding plugins feature gate is not enabled", f"{PATH}.name")]
    assert refused == (wanted if needed else [])
    assert network_causes(view(version, {"binding": {"name": "b"}})) == []


@pytest.mark.parametrize(
    ("version", "warned"), since(("v1.1", []), ("v1.4", ["HotplugNICs"]), ("v1.5", ["HotplugNICs", "NetworkBinding"]))
)
def test_a_listed_gate_that_has_graduated_is_warned_of(version: str, warned: list[str]) -> None:
    config = ClusterConfig(kubevirt("HotplugNICs", "NetworkBindingPlugins"), facts_for(version))
    found = [text for _, _, text in config.gate_texts()]
    assert len(found) == len(warned)
    for text, name in zip(found, warned, strict=True):
        assert text.startswith(f"feature gate {name}")
        assert '(feature state is "General Availability")' in text


@pytest.mark.parametrize(("version", "by_itself"), [("v1.8", False), ("v1.9", True)])
def test_a_beta_gate_is_on_by_itself_from_1_9_and_can_be_disabled(version: str, by_itself: bool) -> None:
    gate, facts = "PasstBinding", facts_for(version)
    assert ClusterConfig({}, facts).gate_enabled(gate) is by_itself
    assert ClusterConfig(kubevirt(gate), facts).gate_enabled(gate)
    assert not ClusterConfig(kubevirt(disabled=(gate,)), facts).gate_enabled(gate)


# ------------------------------------------------------------------------------------------------ admission

BOTH = "logical n interface cannot have both binding plugin and interface binding method"
EXACTLY_ONE = "logical n interface must have exactly one binding method or binding plugin"


@pytest.mark.parametrize(
    ("version", "message", "field"),
    [(v, EXACTLY_ONE if v == "v1.9" else BOTH, PATH if v == "v1.9" else f"{PATH}.binding") for v in ALL],
)
def test_a_plugin_and_a_core_method_exclude_each_other(version: str, message: str, field: str) -> None:
    found = network_causes(view(version, {"binding": {"name": "b"}, "masquerade": {}}))
    assert found == [Cause("FieldValueInvalid", message, field)]


@pytest.mark.parametrize(("version", "refused"), since(("v1.1", []), ("v1.9", [EXACTLY_ONE])))
def test_an_interface_without_a_method_is_refused_from_1_9(version: str, refused: list[str]) -> None:
    assert texts(network_causes(view(version, {}))) == refused


SLIRP = "Slirp interface support has been discontinued since v1.3"


AT_CREATION = {
    "slirp": since(("v1.1", []), ("v1.3", [SLIRP])),
    "macvtap": since(("v1.1", []), ("v1.8", ["Macvtap network binding has been discontinued since v1.3"])),
    "passt": since(("v1.1", []), ("v1.8", ["Passt network binding has been discontinued since v1.3"])),
}
ALWAYS = {
    "slirp": since(
        ("v1.1", ["Slirp interface is not enabled in kubevirt-config"]), ("v1.6", []), ("v1.9", [EXACTLY_ONE])
    ),
    "macvtap": since(
        ("v1.1", ["Macvtap feature gate is not enabled", "Macvtap interface only implemented with Multus network"]),
        ("v1.8", []),
        ("v1.9", [EXACTLY_ONE]),
    ),
    "passt": since(("v1.1", ["Passt feature gate is not enabled"]), ("v1.8", []), ("v1.9", [EXACTLY_ONE])),
}


@pytest.mark.parametrize(
    ("method", "version", "creation", "always"),
    [
        (method, version, creation, always)
        for method in AT_CREATION
        for (version, creation), (_, always) in zip(AT_CREATION[method], ALWAYS[method], strict=True)
    ],
)
def test_core_bindings_that_leave_are_refused(method: str, version: str, creation: Any, always: Any) -> None:
    """On the pod network, no gate listed: at creation alone, and at every validation."""
    seen = view(version, {method: {}})
    assert (texts(discontinued_causes(seen)), texts(network_causes(seen))) == (creation, always)


def test_the_old_core_bindings_work_where_their_gates_are_listed() -> None:
    config = kubevirt("NetworkBindingPlugins", "Macvtap", "Passt", permitSlirpInterface=True)
    multus = {"multus": {"networkName": "net"}}
    for version in ("v1.1", "v1.2"):
        assert network_causes(view(version, {"slirp": {}}, config)) == []
        assert network_causes(view(version, {"passt": {}}, config)) == []
        assert network_causes(view(version, {"macvtap": {}}, config, multus)) == []
    warned = deprecation_warnings(view("v1.2", {"macvtap": {}}, config, multus))
    assert warned == [
        "Macvtap network binding will be deprecated next release. Please refer to Kubevirt user guide for alternatives."
    ]
    assert deprecation_warnings(view("v1.1", {"macvtap": {}}, config, multus)) == []


@pytest.mark.parametrize("version", ["v1.3", "v1.7", "v1.9"])
def test_use_of_a_discontinued_gate_is_refused_at_creation(version: str) -> None:
    found = texts(discontinued_causes(view(version, {"macvtap": {}}, kubevirt("Macvtap"))))
    assert found[0] == (
        "Macvtap network binding is discontinued since v1.3. Please refer to Kubevirt user guide for alternatives."
    )


@pytest.mark.parametrize(
    ("version", "refused"),
    since(("v1.1", ["logical n interface state value is unsupported: down"]), ("v1.5", [])),
)
def test_link_states_are_known_from_1_5(version: str, refused: list[str]) -> None:
    assert texts(network_causes(view(version, {"binding": {"name": "b"}, "state": "down"}))) == refused


@pytest.mark.parametrize("version", ALL)
def test_state_absent_is_for_bridges_off_the_default_network(version: str) -> None:
    pod = view(version, {"binding": {"name": "b"}, "state": "absent"})
    assert texts(network_causes(pod)) == [
        '"n" interface\'s state "absent" is supported only for bridge binding',
        '"n" interface\'s state "absent" is not supported on default networks',
    ]
    secondary = {"multus": {"networkName": "net"}}
    assert network_causes(view(version, {"bridge": {}, "state": "absent"}, None, secondary)) == []


@pytest.mark.parametrize(("version", "known"), since(("v1.1", False), ("v1.4", True)))
def test_igb_is_a_model_from_1_4(version: str, known: bool) -> None:
    assert (network_causes(view(version, {"binding": {"name": "b"}, "model": "igb"})) == []) is known


@pytest.mark.parametrize(("version", "field"), since(("v1.1", f"{PATH}.ports[0]"), ("v1.9", f"{PATH}.ports[0].port")))
def test_a_port_out_of_range_is_named(version: str, field: str) -> None:
    found = network_causes(view(version, {"binding": {"name": "b"}, "ports": [{"port": 70000}]}))
    assert found == [Cause("FieldValueInvalid", "Port field must be in range 0 < x < 65536.", field)]


def test_passt_binding_needs_its_gate_in_1_8_and_the_pod_network() -> None:
    off = ["PasstBinding feature gate is not enabled"]
    assert texts(network_causes(view("v1.8", {"passtBinding": {}}))) == off
    assert network_causes(view("v1.8", {"passtBinding": {}}, kubevirt("PasstBinding"))) == []
    assert network_causes(view("v1.9", {"passtBinding": {}})) == []
    elsewhere = view("v1.9", {"passtBinding": {}}, None, {"multus": {"networkName": "net"}})
    assert texts(network_causes(elsewhere)) == ["PasstBinding interface only implemented with pod network"]


def ranges(*entries: tuple[int, int]) -> Object:
    return {"portRanges": [{"protocol": "TCP", "start": start, "end": end} for start, end in entries]}


@pytest.mark.parametrize(
    ("interface", "message"),
    [
        ({"binding": {"name": "b"}} | ranges((1, 2)), "portRanges are only supported on masquerade interfaces"),
        ({"masquerade": {}} | ranges((0, 2)), "Start must be a valid port number, 0 < x < 65536"),
        ({"masquerade": {}} | ranges((5, 70000)), "End must be a valid port number, 0 < x < 65536"),
        ({"masquerade": {}} | ranges((5, 4)), "Start must be less than or equal to end"),
        ({"masquerade": {}} | ranges((5, 9), (1, 5)), "TCP portRanges [1-5] and [5-9] overlap"),
        ({"masquerade": {}} | ranges(*[(i, i) for i in range(1, 12)]), "No more than 10 portRanges are allowed"),
        (
            {"masquerade": {}, "ports": [{"port": 1}]} | ranges((1, 2)),
            "Cannot define both ports and portRanges on interface",
        ),
    ],
)
def test_port_ranges_of_1_9_are_checked_where_their_gate_is_listed(interface: Object, message: str) -> None:
    assert texts(network_causes(view("v1.9", interface, kubevirt("PortRangesSpec")))) == [message]
    off = "portRanges is specified on interface but the PortRangesSpec feature gate is not enabled"
    assert texts(network_causes(view("v1.9", interface, kubevirt()))) == [off]


def test_bridges_can_be_kept_off_the_pod_network() -> None:
    config = kubevirt(permitBridgeInterfaceOnPodNetwork=False)
    off = ["Bridge on pod network configuration is not enabled under kubevirt-config"]
    assert texts(network_causes(view("v1.5", {"bridge": {}}, config))) == off
    assert network_causes(view("v1.5", {"bridge": {}}, config, {"multus": {"networkName": "net"}})) == []


# ------------------------------------------------------------------------------------------------ running VMs


@pytest.mark.parametrize(("version", "managed"), since(("v1.1", {}), ("v1.4", {"domainAttachmentType": "managedTap"})))
def test_managed_tap_means_something_from_1_4(version: str, managed: Object) -> None:
    registered = {"m": {"domainAttachmentType": "managedTap"}, "t": {"domainAttachmentType": "tap"}}
    found = spec.attached(registered, facts_for(version).attachments)
    assert found == {"m": managed, "t": {"domainAttachmentType": "tap"}}
