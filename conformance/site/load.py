"""Reads a site file; every mistake is named with file, field, value and the fix."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from conformance.catalogue import load
from conformance.model.definition.findings import Findings
from conformance.model.definition.validation import validate
from conformance.model.definition.yamlfile import read_document
from conformance.model.problem import DefinitionError
from conformance.site.files import SiteFile
from conformance.site.site import Guest, Mirror, Site

# real gates have similar names (VMLiveUpdateFeatures, LiveUpdateNADRef: 0.6): only slips of the pen are as near as this
_NEARLY = 0.85


class SiteError(DefinitionError):
    """A site file that cannot be used."""

    what = "site file"


def load_site(path: Path | None) -> Site:
    """The local facts in a file; without one, none.

    Raises:
        SiteError: with every problem of the file.
    """
    if path is None:
        return Site()
    path = Path(os.path.abspath(path))
    document = read_document(path)
    file = validate(SiteFile, document.data, document.findings)
    if file is not None:
        _check(file, path, document.findings)
    if document.findings.errors or file is None:
        raise SiteError(document.findings.errors)
    return _site(file, path)


def _check(file: SiteFile, path: Path, findings: Findings) -> None:
    """What no schema says."""
    spec = file.spec
    for part in ("registrar", "runner"):
        named = getattr(spec.access, part)
        if named and not (path.parent / named).is_file():
            findings.error(("spec", "access", part), "the file does not exist", "name a kubeconfig file")
    if spec.access.runner and not spec.namespaces:
        fix = "name the namespaces in which the runner has its rights"
        findings.error(("spec", "namespaces"), "a runner of its own needs namespaces", fix)
    _once(spec.namespaces, "namespaces", "namespace", findings)
    _once(spec.disabled_feature_gates, "disabledFeatureGates", "gate", findings)
    _spelled(spec.disabled_feature_gates, findings)


def _once(words: list[str], field: str, noun: str, findings: Findings) -> None:
    for index, word in enumerate(words):
        if word in words[:index]:
            findings.error(("spec", field, index), f"the {noun} is there twice", "remove one of them")


def _spelled(gates: list[str], findings: Findings) -> None:
    """A gate that no requirement needs may be named; one that is nearly such a gate would keep nothing from failing."""
    known = load().feature_gates
    for index, gate in enumerate(gates):
        close = difflib.get_close_matches(gate, known, n=1, cutoff=_NEARLY)
        if close and gate not in known:
            fix = f"did you mean {close[0]}?"
            findings.error(("spec", "disabledFeatureGates", index), "no requirement needs a gate of that name", fix)


def _site(file: SiteFile, path: Path) -> Site:
    spec = file.spec
    named = (spec.access.registrar, spec.access.runner)
    registrar, runner = (path.parent / file if file else None for file in named)
    return Site(
        name=file.metadata.name,
        namespaces=tuple(spec.namespaces),
        registrar=registrar,
        runner=runner,
        installed=spec.binding_manifests == "installed",
        node_access=spec.node_access,
        disruption=spec.disruption,
        node_selector=dict(spec.node_selector),
        proxy=spec.proxy.url if spec.proxy else "",
        mirrors=tuple(Mirror(mirror.source, mirror.mirror) for mirror in spec.mirrors),
        guest=Guest(**spec.guest.model_dump()) if spec.guest else None,
        ports=tuple(spec.ports),
        secondary_network=spec.secondary_network or "",
        disabled_feature_gates=tuple(spec.disabled_feature_gates),
        timeout_factor=spec.timeout_factor,
    )
