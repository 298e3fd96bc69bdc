"""The requirements as data: loads them, checks them, and looks them up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import yaml
from pydantic import ValidationError

from conformance.catalogue.files import FamilyFile, RequirementFile
from conformance.model import CapabilityTerm, Level, ModelError, Requirement, Version
from conformance.model.capability import CapabilityExpressionError
from conformance.model.registration import suggest
from conformance.model.requirement import Declaration

FAMILIES = (
    "registration",
    "pod",
    "security",
    "hooks",
    "cni",
    "vm",
    "dhcp",
    "ipv6",
    "connectivity",
    "mtu",
    "link",
    "hotplug",
    "migration",
    "observability",
    "lifecycle",
    "upgrade",
)
"""Names of the catalogue's files, in the order of a report."""

SIZE = 143
"""Number of requirements; a file that loses one is a mistake, not a smaller catalogue."""

_REFERENCES = {
    re.compile(r"kubevirt#(\d+)"): "KubeVirt issue or pull request {}",
    re.compile(r"hco#(\d+)"): "HyperConverged Cluster Operator issue or pull request {}",
    re.compile(r"kubevirt@([0-9a-f]{7,40})"): "KubeVirt commit {}",
}


class CatalogueError(ModelError):
    """The catalogue's own files contradict themselves; ``problems`` says how."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("the catalogue is not sound:\n" + "\n".join(self.problems))


class UnknownRequirementError(ModelError):
    """An id that the catalogue does not have."""

    def __init__(self, id_: str, known: Iterable[str]) -> None:
        self.id = id_
        close = suggest(id_, known)
        super().__init__(f"there is no requirement {id_!r}" + (f"; did you mean {close}?" if close else ""))


@dataclass(frozen=True)
class Catalogue:
    """All requirements in report order, the titles of their families, and what the source keys stand for."""

    requirements: tuple[Requirement, ...]
    families: Mapping[str, str]
    sources: Mapping[str, str]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids, in report order."""
        return tuple(requirement.id for requirement in self.requirements)

    @property
    def feature_gates(self) -> tuple[str, ...]:
        """The feature gates of KubeVirt that some requirement needs, sorted."""
        return tuple(sorted({gate for requirement in self.requirements for gate in requirement.feature_gates}))

    def get(self, id_: str) -> Requirement:
        """Return a requirement.

        Raises:
            UnknownRequirementError: there is none with this id.
        """
        for requirement in self.requirements:
            if requirement.id == id_:
                return requirement
        raise UnknownRequirementError(id_, self.ids)

    def describe_source(self, key: str) -> str:
        """Say what a source key stands for, in words."""
        for pattern, text in _REFERENCES.items():
            match = pattern.fullmatch(key)
            if match:
                return text.format(match[1])
        return self.sources[key]


@cache
def load() -> Catalogue:
    """Load the bundled catalogue.

    Raises:
        CatalogueError: the files are not sound.
    """
    return load_from(files("conformance.catalogue") / "data")


def load_from(directory: Traversable) -> Catalogue:
    """Load a catalogue from a directory with one file for each of `FAMILIES` and ``sources.yaml``.

    Raises:
        CatalogueError: with every problem found.
    """
    problems: list[str] = []
    sources = _read_sources(directory / "sources.yaml", problems)
    families: dict[str, str] = {}
    requirements: list[Requirement] = []
    for name in FAMILIES:
        family = _read_family(directory / f"{name}.yaml", problems)
        if family is None:
            continue
        families[name] = family.title
        if family.family != name:
            problems.append(f"{name}.yaml: family is {family.family}")
        requirements += [item for file in family.requirements if (item := _build(name, file, problems)) is not None]
    catalogue = Catalogue(tuple(requirements), families, sources)
    _check(catalogue, problems)
    if problems:
        raise CatalogueError(problems)
    return catalogue


def _read_sources(file: Traversable, problems: list[str]) -> dict[str, str]:
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    if isinstance(data, dict) and all(isinstance(text, str) and text for item in data.items() for text in item):
        return data
    problems.append(f"{file.name}: expected a mapping from key to description")
    return {}


def _read_family(file: Traversable, problems: list[str]) -> FamilyFile | None:
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
        return FamilyFile.model_validate(data, strict=False)
    except (OSError, yaml.YAMLError) as error:
        problems.append(f"{file.name}: {error}")
    except ValidationError as invalid:
        problems += [f"{file.name}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in invalid.errors()]
    return None


def _build(family: str, file: RequirementFile, problems: list[str]) -> Requirement | None:
    try:
        terms = tuple(CapabilityTerm.parse(text.replace(" ", "")) for text in file.capabilities)
    except CapabilityExpressionError as error:
        problems.append(f"{file.id}: {error}")
        return None
    return Requirement(
        id=file.id,
        family=family,
        level=file.level,
        title=" ".join(file.title.split()),
        sources=tuple(file.sources),
        min_kubevirt=Version.parse(file.min_kubevirt),
        seen=frozenset(file.seen),
        declaration=file.declared,
        capabilities=terms,
        varies_with=frozenset(file.varies_with),
        mutant=file.mutant,
        min_kubevirt_for={key: Version.parse(text) for key, text in file.min_kubevirt_for.items()},
        environment=file.environment,
        feature_gates={gate: Version.parse(text) if text else None for gate, text in file.feature_gates.items()},
        observed=" ".join(file.observed.split()),
    )


def _check(catalogue: Catalogue, problems: list[str]) -> None:
    for id_, count in Counter(catalogue.ids).items():
        if count > 1:
            problems.append(f"{id_}: there are {count} requirements with this id")
    if not problems and len(catalogue.requirements) != SIZE:
        problems.append(f"there are {len(catalogue.requirements)} requirements instead of {SIZE}")
    for requirement in catalogue.requirements:
        problems += _requirement_problems(catalogue, requirement)


def _requirement_problems(catalogue: Catalogue, requirement: Requirement) -> Iterable[str]:
    for key in requirement.sources:
        if key not in catalogue.sources and not any(pattern.fullmatch(key) for pattern in _REFERENCES):
            yield f"{requirement.id}: unknown source {key}"
    optional = requirement.level is Level.MAY
    if optional != (requirement.declaration is Declaration.OPT_IN):
        yield f"{requirement.id}: MAY and declared: optIn go together"
    if requirement.declaration is Declaration.CAPABILITY and not requirement.capabilities:
        yield f"{requirement.id}: declared: capability needs a capability"
