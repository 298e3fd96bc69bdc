"""Loads a binding from the file a vendor writes, or from a mutant of it."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.model.binding import Binding, Facts, Implementation, MutantInfo, derived_capabilities
from conformance.model.definition.artifacts import load_artifacts
from conformance.model.definition.consistency import (
    check_capabilities,
    check_kind,
    check_registration,
    check_what_is_brought,
)
from conformance.model.definition.digest import digest_of
from conformance.model.definition.files import DefinitionFile, FactsFile, MutantFile
from conformance.model.definition.findings import Findings
from conformance.model.definition.manifests import Manifest, load_manifests
from conformance.model.definition.mutation import patch_definition, patch_manifests
from conformance.model.definition.validation import validate
from conformance.model.definition.yamlfile import Document, read_document
from conformance.model.jsonvalue import JsonObject, get_path, get_text
from conformance.model.problem import DefinitionError, Problem, Severity
from conformance.model.registration import NadReference, Registration, suggest

_SUFFIXES = (".yaml", ".yml")
_PLACES = ("", "bindings", "mutants")


def load_binding(path: Path, requirement_ids: Collection[str] | None = None) -> Binding:
    """Load a BindingDefinition, or a Mutant, whose fault is then applied.

    ``requirement_ids`` are the ids that a mutant's ``caughtBy`` may name; None leaves that to the catalogue's
    selection. Problems that do not keep the binding from being used are in its ``warnings``.

    Raises:
        DefinitionError: with every problem of the file and of the files it names.
    """
    path = Path(os.path.abspath(path))
    document = read_document(path)
    if get_text(document.data, "kind") == "Mutant":
        return _load_mutant(path, document, requirement_ids)
    return _assemble(_read_base(path, document), lint=True)


def load_mutant(path: Path, requirement_ids: Collection[str] | None = None) -> Binding:
    """Load a Mutant. Like `load_binding`, but anything else than a Mutant is refused.

    Raises:
        DefinitionError: the file is no Mutant or has other problems.
    """
    path = Path(os.path.abspath(path))
    document = read_document(path)
    return _load_mutant(path, document, requirement_ids)


def resolve(reference: str, search_dir: Path) -> Path:
    """Return the file that a reference on the command line means: a path, or the name of a bundled binding or mutant.

    A word without ``/`` and without a YAML suffix is a name, looked up in ``search_dir`` and in its directories
    ``bindings`` and ``mutants``.

    Raises:
        DefinitionError: there is no such file or name.
    """
    path = Path(reference)
    if "/" in reference or path.suffix in _SUFFIXES:
        if path.is_file():
            return path
        what = "this is a directory" if path.is_dir() else "the file does not exist"
        raise DefinitionError([Problem(path, "", "", what, "name a file of kind BindingDefinition or Mutant")])
    known = bundled(search_dir)
    if reference in known:
        return known[reference]
    names = ", ".join(known) or "none"
    close = suggest(reference, known)
    fix = (f"did you mean {close}? " if close else "") + f"Bundled: {names}. Or name a file, for example ./{path}.yaml"
    raise DefinitionError([Problem(path, "", "", "no bundled binding or mutant has this name", fix)])


def bundled(search_dir: Path) -> dict[str, Path]:
    """Return the definitions and mutants of a directory by file name without suffix, bindings first."""
    found: dict[str, Path] = {}
    for place in _PLACES:
        for path in sorted((search_dir / place).glob("*")):
            if path.suffix in _SUFFIXES and path.is_file():
                found.setdefault(path.stem, path)
    return found


@dataclass(frozen=True)
class _Base:
    """A definition that was read, with what is known to be wrong with it so far."""

    path: Path
    data: JsonObject
    file: DefinitionFile
    manifests: Sequence[Manifest]
    findings: Findings
    elsewhere: Sequence[Problem]
    """Problems inside the manifest files."""
    mutant: MutantInfo | None = None

    def raise_errors(self) -> None:
        errors = [problem for problem in self.problems if problem.severity is Severity.ERROR]
        if errors:
            raise DefinitionError(errors)

    @property
    def problems(self) -> list[Problem]:
        return [*self.findings.problems, *self.elsewhere]


def _read_base(path: Path, document: Document) -> _Base:
    file = validate(DefinitionFile, document.data, document.findings)
    if file is None or not isinstance(document.data, dict):
        raise DefinitionError(document.findings.errors)
    manifests, elsewhere = load_manifests(path.parent, file.spec.manifests, document.findings)
    return _Base(path, document.data, file, manifests, document.findings, elsewhere)


def _assemble(base: _Base, *, lint: bool) -> Binding:
    """Check the parts against each other and the disk, and build the binding. ``lint`` is off for a mutant: a wrong
    value is what it is for."""
    spec = base.file.spec
    findings = base.findings
    registration = _registration(base.data) if spec.core is None else None
    facts = _facts(spec.facts, findings)
    sidecar = registration.sidecar_image if registration else ""
    artifacts = load_artifacts(base.path.parent, spec.artifacts, sidecar, findings)
    check_kind(spec, findings)
    if lint and (registration is not None or spec.core is not None):
        check_capabilities(spec.capabilities, derived_capabilities(registration, spec.core), facts, findings)
        if registration is not None:
            check_registration(registration, findings)
            check_what_is_brought(registration, base.manifests, artifacts, findings)
    base.raise_errors()
    objects = tuple(manifest.data for manifest in base.manifests)
    return Binding(
        name=base.file.metadata.name,
        source=base.path,
        implementation=Implementation(
            organization=spec.implementation.organization,
            project=spec.implementation.project,
            version=spec.implementation.version,
            url=spec.implementation.url,
            contact=tuple(spec.implementation.contact),
        ),
        registration=registration,
        core=spec.core,
        declared=frozenset(spec.capabilities),
        facts=facts,
        manifests=objects,
        artifacts=artifacts,
        digest=digest_of(base.data, objects, artifacts),
        mutant=base.mutant,
        warnings=tuple(base.problems),
    )


def _registration(data: JsonObject) -> Registration | None:
    found = get_path(data, "spec", "registration")
    return Registration.parse(found) if isinstance(found, dict) else None


def _facts(file: FactsFile, findings: Findings) -> Facts:
    network = None
    if file.secondary_network is not None:
        network = NadReference.parse(file.secondary_network)
        if network is None:
            path = ("spec", "facts", "secondaryNetwork")
            findings.error(path, "this is no reference to a NetworkAttachmentDefinition", "write namespace/name")
    return Facts(
        guest_subnet=file.guest_subnet,
        guest_subnet6=file.guest_subnet6,
        gateway=file.gateway,
        nameservers=tuple(file.nameservers),
        search_domains=tuple(file.search_domains),
        ports=tuple(file.ports),
        dual_stack=file.dual_stack,
        ipv6_source=file.ipv6_source,
        dhcp_options=file.dhcp_options,
        lease_seconds=file.lease_seconds,
        migration_outage_seconds=file.migration_outage_seconds,
        ipv6_settle_seconds=file.ipv6_settle_seconds,
        secondary_network=network,
        ip_provider=file.ip_provider,
        unsupported=tuple(file.unsupported),
        supports=tuple(file.supports),
    )


def _load_mutant(path: Path, document: Document, requirement_ids: Collection[str] | None) -> Binding:
    findings = document.findings
    file = validate(MutantFile, document.data, findings)
    if file is None:
        raise DefinitionError(findings.errors)
    _check_caught_by(file, requirement_ids, findings)
    base_path = Path(os.path.abspath(path.parent / file.spec.base))
    if not base_path.is_file():
        fix = "correct the path; it is relative to this file"
        findings.error(("spec", "base"), "the base does not exist", fix)
    if findings.errors:
        raise DefinitionError(findings.errors)
    base = _read_sound(base_path)
    mutated = _mutate(base, file, findings)
    info = MutantInfo(file.metadata.name, path, " ".join(file.spec.fault.split()), tuple(file.spec.caught_by))
    mutated_base = _Base(base.path, mutated.data, mutated.file, mutated.manifests, findings, mutated.elsewhere, info)
    return _assemble(mutated_base, lint=False)


def _check_caught_by(file: MutantFile, requirement_ids: Collection[str] | None, findings: Findings) -> None:
    for index, id_ in enumerate(file.spec.caught_by):
        path = ("spec", "caughtBy", index)
        if id_ in file.spec.caught_by[:index]:
            findings.error(path, "the id is listed twice", "keep one")
        elif requirement_ids is not None and id_ not in requirement_ids:
            close = suggest(id_, requirement_ids)
            fix = f"did you mean {close}?" if close else "name an id of the catalogue"
            findings.error(path, "the catalogue has no such requirement", fix)


def _read_sound(path: Path) -> _Base:
    """Read the base of a mutant, which must be a definition without errors."""
    document = read_document(path)
    base = _read_base(path, document)
    _assemble(base, lint=True)
    return base


def _mutate(base: _Base, mutant: MutantFile, findings: Findings) -> _Base:
    """Apply the patches: those of the definition first, since it says which manifests there are."""
    patches = mutant.spec.patches
    data = patch_definition(base.data, patches, findings)
    after = Findings(findings.file, {}, data)
    file = validate(DefinitionFile, data, after)
    findings.problems += after.problems
    if file is None or findings.errors:
        raise DefinitionError(findings.errors)
    originals, elsewhere = load_manifests(base.path.parent, file.spec.manifests, findings)
    manifests = patch_manifests(originals, patches, findings)
    if not findings.errors and data == base.data and manifests == originals:
        fix = "patch something to another value"
        findings.error(("spec", "patches"), "the patches change nothing", fix, value="")
    return _Base(base.path, data, file, manifests, findings, elsewhere)
