"""The recorded admission answers, asked again as server-side dry runs: code, message, causes, defaults, stored form."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from tests.fidelity.answers import refusal
from tests.fidelity.facts import Facts
from tests.fidelity.http import Api, Reply
from tests.fidelity.recording import RECORDINGS, Object, dig, mapping, objects, text

SCENARIO: Final = "admission-v1.9.0"
_API: Final = "/apis/kubevirt.io/v1/namespaces"
_NADS: Final = "/apis/k8s.cni.cncf.io/v1/namespaces/default/network-attachment-definitions"
_PLURALS: Final = {
    "VirtualMachine": "virtualmachines",
    "VirtualMachineInstance": "virtualmachineinstances",
    "VirtualMachineInstanceMigration": "virtualmachineinstancemigrations",
}
_DRY: Final = "dryRun=All&fieldValidation=Strict"
_DUMP: Final = re.compile(r'Invalid value: "\{.*\}"', re.DOTALL)
_FIRST_ERROR: Final = 400


def cases(directory: Path = RECORDINGS) -> list[Object]:
    """The recorded cases."""
    return objects(json.loads((directory / f"{SCENARIO}.json").read_text(encoding="utf-8"))["cases"])


def recorded(case: Object) -> Facts:
    """What the real API said to a case."""
    said = {key: case.get(key) for key in ("message", "reason", "causes") if case.get(key)}
    facts: Facts = {"code": case["code"]}
    if not case["accepted"]:
        facts["status"] = _without_dump(said)
    for key in ("defaulted", "stored", "warning"):
        if key in case:
            facts[key] = case[key]
    return _titled(case, facts)


def observed(api: Api, case: Object) -> Facts:
    """What this API says to it."""
    reply = _ask(api, case)
    facts: Facts = {"code": reply.code}
    if reply.code >= _FIRST_ERROR:
        kept = {key: value for key, value in refusal(reply.body).items() if key != "causes" or _has_causes(case)}
        facts["status"] = _without_dump(kept)
    if "defaulted" in case and reply.code < _FIRST_ERROR:
        devices, spec = dig(reply.body, "spec", "domain", "devices"), reply.body.get("spec")
        facts["defaulted"] = {"interfaces": dig(devices, "interfaces"), "networks": dig(spec, "networks")}
    if "stored" in case and reply.code < _FIRST_ERROR:
        bindings = mapping(dig(reply.body, "spec", "configuration", "network", "binding"))
        facts["stored"] = {name: bindings.get(name) for name in mapping(case["stored"])}
    if "warning" in case or reply.warning:
        facts["warning"] = reply.warning
    return _titled(case, facts)


def _has_causes(case: Object) -> bool:
    """Of refused KubeVirt CRs the recording kept no causes."""
    return case["kind"] != "KubeVirt"


def _ask(api: Api, case: Object) -> Reply:
    kind, patch = text(case["kind"]), mapping(case["manifest patch"])
    if kind == "KubeVirt":
        return api.merge(f"{_API}/kubevirt/kubevirts/kubevirt?{_DRY}", patch)
    if kind == "NetworkAttachmentDefinition":
        body: Object = {"apiVersion": "k8s.cni.cncf.io/v1", "kind": kind, "metadata": {"name": "x"}, **patch}
        return api.send("POST", f"{_NADS}?{_DRY}", body)
    return api.send("POST", f"{_API}/default/{_PLURALS[kind]}?{_DRY}", _manifest(kind, mapping(patch.get("spec"))))


def _manifest(kind: str, patch: Object) -> Object:
    """The object of a case: the recording names only what varies, interfaces and networks."""
    spec = patch
    if kind != "VirtualMachineInstanceMigration":
        devices: Object = {key: value for key, value in patch.items() if key != "networks" and value is not None}
        if patch.get("interfaces") == []:
            devices["autoattachPodInterface"] = False  # said by the case's name only
        spec = {"domain": {"devices": devices, "resources": {"requests": {"memory": "64Mi"}}}}
        if patch.get("networks") is not None:
            spec["networks"] = patch["networks"]
    if kind == "VirtualMachine":
        spec = {"runStrategy": "Halted", "template": {"spec": spec}}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": kind,
        "metadata": {"name": "x", "namespace": "default"},
        "spec": spec,
    }


def _without_dump(said: Object) -> Object:
    """A refusal without the whole object that some messages quote."""
    return {**said, "message": _DUMP.sub('Invalid value: "<the object>"', text(said.get("message")))}


def _titled(case: Object, facts: Facts) -> Facts:
    return {f"{text(case['kind'])}, {text(case['case'])}: {name}": value for name, value in facts.items()}
