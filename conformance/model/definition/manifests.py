"""The Kubernetes objects that a definition brings, and what can be wrong with them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from conformance.model.definition.findings import FieldPath, Findings
from conformance.model.definition.yamlfile import Document, read_documents
from conformance.model.jsonvalue import JsonObject, JsonValue, get_path, get_text
from conformance.model.problem import Problem
from conformance.model.registration import is_dns_label, is_dns_subdomain

NAD_KIND = "NetworkAttachmentDefinition"
DEFAULT_NAMESPACE = "default"
"""Where an object without a namespace goes."""


@dataclass(frozen=True)
class Manifest:
    """One object of a manifest file."""

    file: Path
    data: JsonObject

    @property
    def kind(self) -> str:
        """The object's kind."""
        return get_text(self.data, "kind")

    @property
    def name(self) -> str:
        """The object's name."""
        return get_text(self.data, "metadata", "name")

    @property
    def namespace(self) -> str:
        """The object's namespace, ``default`` if it does not say."""
        return get_text(self.data, "metadata", "namespace") or DEFAULT_NAMESPACE

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def load_manifests(directory: Path, names: Iterable[str], findings: Findings) -> tuple[list[Manifest], list[Problem]]:
    """Read the manifest files of a definition.

    A file that is missing is a problem of the definition (noted in ``findings``); what is wrong inside a file is a
    problem of that file and returned.
    """
    manifests: list[Manifest] = []
    problems: list[Problem] = []
    for index, name in enumerate(names):
        path = directory / name
        if not path.is_file():
            what = "this is a directory" if path.is_dir() else "the file does not exist"
            fix = "correct the path; it is relative to the definition's directory"
            findings.error(("spec", "manifests", index), what, fix, value=name)
            continue
        documents = read_documents(path)
        if not documents:
            findings.error(("spec", "manifests", index), "the file holds no object", "remove it or fill it", value=name)
        for document in documents:
            if _check(document):
                manifests.append(Manifest(path, _as_object(document.data)))
            problems.extend(document.findings.problems)
    _check_doubles(manifests, findings)
    return manifests, problems


def _as_object(data: JsonValue) -> JsonObject:
    return data if isinstance(data, dict) else {}


def _check(document: Document) -> bool:
    """Note what is wrong with one object; True if it is an object that could be applied."""
    findings = document.findings
    if findings.errors:
        return False
    if not isinstance(document.data, dict):
        findings.error((), "the document is no Kubernetes object", "write apiVersion, kind and metadata")
        return False
    for key, example in (("apiVersion", "k8s.cni.cncf.io/v1"), ("kind", NAD_KIND)):
        if not get_text(document.data, key):
            findings.error((key,), f"the object has no {key}", f"add {key}, for example {example}")
    _check_name(document.data, findings)
    if get_text(document.data, "kind") == NAD_KIND:
        _check_nad(document.data, findings)
    return not findings.errors


def _check_name(data: JsonObject, findings: Findings) -> None:
    path: FieldPath = ("metadata", "name")
    name = get_text(data, *path)
    if not name:
        findings.error(path, "the object has no name", "add metadata.name")
    elif get_text(data, "kind") == NAD_KIND and not is_dns_subdomain(name):
        findings.error(path, "this is no DNS-1123 name", "write a-z, 0-9, - and .")
    namespace = get_path(data, "metadata", "namespace")
    if namespace is not None and not (isinstance(namespace, str) and is_dns_label(namespace)):
        findings.error(("metadata", "namespace"), "this is no namespace", "write a DNS-1123 label")


def _check_nad(data: JsonObject, findings: Findings) -> None:
    """A NetworkAttachmentDefinition without ``config`` is left alone: Multus then takes a file of the node."""
    path: FieldPath = ("spec", "config")
    config = get_path(data, *path)
    if config is None:
        return
    if not isinstance(config, str):
        findings.error(path, "the configuration is not text", "write the JSON as a string, for example config: '{...}'")
        return
    try:
        parsed = json.loads(config)
    except ValueError as error:
        findings.error(path, f"the configuration is not JSON: {error}", "correct the JSON inside the string")
        return
    if not isinstance(parsed, dict):
        findings.error(path, "the configuration is no JSON object", "write a CNI configuration")
        return
    plugins = parsed.get("plugins", [parsed])
    if not isinstance(plugins, list) or not plugins or not all(get_text(plugin, "type") for plugin in plugins):
        fix = 'write "type", or "plugins" with a "type" each'
        findings.error(path, "the configuration names no CNI plugin", fix)


def _check_doubles(manifests: list[Manifest], findings: Findings) -> None:
    seen: dict[str, Manifest] = {}
    for manifest in manifests:
        first = seen.setdefault(str(manifest), manifest)
        if first is not manifest:
            where = f"{first.file.name} and {manifest.file.name}" if first.file != manifest.file else first.file.name
            message = f"{manifest} is there twice ({where})"
            findings.error(("spec", "manifests"), message, "keep one of them", value=str(manifest))
