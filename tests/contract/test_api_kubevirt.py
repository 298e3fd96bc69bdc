"""KubeVirt's and Multus' kinds as the sandbox defines them; wording as recorded on KubeVirt v1.9.0."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.harness import Api, Body, Sandbox

pytestmark = pytest.mark.since(kubevirt="1.9")

QUANTITY = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|"
    r"([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)


@pytest.fixture
def instances(namespace: str, sandbox: Sandbox) -> str:
    """The VMI collection."""
    return f"/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances"


def instance(name: str, interface: Body | None = None, network: Body | None = None) -> Body:
    """A VMI with one interface."""
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": name},
        "spec": {
            "domain": {"devices": {"interfaces": [interface or {"name": "default", "binding": {"name": "passt"}}]}},
            "networks": [network or {"name": "default", "pod": {}}],
        },
    }


def test_instance_has_no_status_subresource(api: Api, instances: str, name: str) -> None:
    api.post(instances, instance(name)).expect(201)
    assert api.get(f"{instances}/{name}/status").status == 404
    patched = api.patch(f"{instances}/{name}", {"status": {"phase": "Running"}}).expect(200)
    assert patched["status"] == {"phase": "Running"}
    assert patched["metadata"]["generation"] == 2


@pytest.mark.parametrize("plural", ["virtualmachines", "virtualmachineinstancemigrations", "kubevirts"])
def test_the_other_kinds_have_one(api: Api, sandbox: Sandbox, plural: str) -> None:
    names = [entry["name"] for entry in api.get("/apis/kubevirt.io/v1").expect(200)["resources"]]
    assert f"{plural}/status" in names


def test_versions_show_the_same_object(api: Api, instances: str, name: str) -> None:
    api.post(instances, instance(name)).expect(201)
    older = api.get(f"{instances}/{name}".replace("/v1/", "/v1alpha3/")).expect(200)
    assert older["apiVersion"] == "kubevirt.io/v1alpha3"
    assert older["spec"]["networks"] == [{"name": "default", "pod": {}}]


def test_binding_without_name_gets_an_empty_one(api: Api, instances: str, name: str) -> None:
    stored = api.post(instances, instance(name, {"name": "default", "binding": {}})).expect(201)
    assert stored["spec"]["domain"]["devices"]["interfaces"][0]["binding"] == {"name": ""}


def test_unknown_field_in_a_binding_is_refused_when_strict(api: Api, instances: str, name: str) -> None:
    body = instance(name, {"name": "default", "binding": {"name": "passt", "x": 1}})
    refusal = api.post(instances, body, [("fieldValidation", "Strict")]).refused(400, "BadRequest")
    assert refusal["message"] == (
        'VirtualMachineInstance in version "v1" cannot be handled as a VirtualMachineInstance: strict decoding error: '
        'unknown field "spec.domain.devices.interfaces[0].binding.x"'
    )


def test_unrelated_fields_are_kept(api: Api, instances: str, name: str) -> None:
    body = instance(name)
    body["spec"]["domain"]["cpu"] = {"cores": 2}
    body["spec"]["volumes"] = [{"name": "d", "containerDisk": {"image": "x"}}]
    stored = api.post(instances, body).expect(201)["spec"]
    assert (stored["domain"]["cpu"], stored["volumes"]) == ({"cores": 2}, body["spec"]["volumes"])


def test_definition_config_must_be_text(api: Api, sandbox: Sandbox, namespace: str) -> None:
    body = {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "x"},
        "spec": {"config": {}},
    }
    path = f"/apis/k8s.cni.cncf.io/v1/namespaces/{namespace}/network-attachment-definitions"
    refusal = api.post(path, body).refused(422, "Invalid")
    assert refusal["message"] == (
        'NetworkAttachmentDefinition.k8s.cni.cncf.io "x" is invalid: spec.config: Invalid value: "object": '
        'spec.config in body must be of type string: "object"'
    )


@pytest.fixture
def kubevirt(api: Api, sandbox: Sandbox, namespace: str, name: str) -> str:
    """The path of a KubeVirt object."""
    path = f"/apis/kubevirt.io/v1/namespaces/{namespace}/kubevirts"
    body = {"apiVersion": "kubevirt.io/v1", "kind": "KubeVirt", "metadata": {"name": name}, "spec": {}}
    api.post(path, body).expect(201)
    return f"{path}/{name}"


def registration(value: object) -> Body:
    """A patch that registers the binding `z`."""
    return {"spec": {"configuration": {"network": {"binding": {"z": value}}}}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            {"domainAttachmentType": 5},
            '.domainAttachmentType: Invalid value: "integer": {0}.domainAttachmentType in body must be of type string: '
            '"integer"',
        ),
        (
            {"migration": True},
            '.migration: Invalid value: "boolean": {0}.migration in body must be of type object: "boolean"',
        ),
        ("text", ': Invalid value: "string": {0} in body must be of type object: "string"'),
        (
            {"computeResourceOverhead": {"requests": {"memory": "x"}}},
            '.computeResourceOverhead.requests.memory: Invalid value: "x": {0}.computeResourceOverhead.requests.memory '
            f"in body should match '{QUANTITY}'",
        ),
    ],
)
def test_registration_of_a_wrong_type_is_invalid(api: Api, kubevirt: str, name: str, value: Any, text: str) -> None:
    refusal = api.patch(kubevirt, registration(value)).refused(422, "Invalid")
    field = "spec.configuration.network.binding.z"
    wanted = field + text.replace("{0}", field)
    assert refusal["message"] == f'KubeVirt.kubevirt.io "{name}" is invalid: {wanted}'


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"domainAttachmentType": "Tap"},
        {"migration": {}},
        {"migration": {"method": "frob"}},
        {"networkAttachmentDefinition": "a/b/c"},
        {"computeResourceOverhead": {"requests": {"memory": "33Mi"}}},
    ],
)
def test_registration_is_otherwise_taken_as_it_is(api: Api, kubevirt: str, value: Body) -> None:
    stored = api.patch(kubevirt, registration(value)).expect(200)
    assert stored["spec"]["configuration"]["network"]["binding"] == {"z": value}


@pytest.mark.parametrize("value", [{"frob": 1}, {"computeResourceOverhead": {"claims": [{"name": "x"}]}}])
def test_unknown_registration_field_is_refused_when_strict(api: Api, kubevirt: str, value: Body) -> None:
    query = [("fieldValidation", "Strict")]
    refusal = api.patch(kubevirt, registration(value), query=query).refused(422, "Invalid")
    assert 'unknown field "spec.configuration.network.binding.z.' in refusal["message"]


def test_registration_can_be_applied_and_withdrawn(api: Api, kubevirt: str, name: str) -> None:
    """Each manager owns its own binding of the map, as a runner and an administrator share the KubeVirt object."""
    api.patch(kubevirt, registration({"sidecarImage": "theirs:1"})).expect(200)
    body: Body = {"apiVersion": "kubevirt.io/v1", "kind": "KubeVirt", "metadata": {"name": name}}
    mine = {"spec": {"configuration": {"network": {"binding": {"mine": {"migration": {"method": "link-refresh"}}}}}}}
    applied = api.apply(kubevirt, {**body, **mine}, "runner").expect(200)
    assert set(applied["spec"]["configuration"]["network"]["binding"]) == {"mine", "z"}
    withdrawn = api.apply(kubevirt, body, "runner").expect(200)
    assert set(withdrawn["spec"]["configuration"]["network"]["binding"]) == {"z"}
