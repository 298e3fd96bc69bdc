"""Which requirements concern a binding on a cluster, and why the others do not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from conformance.catalogue.catalogue import Catalogue, UnknownRequirementError
from conformance.model import (
    CORE,
    Binding,
    Capability,
    DefinitionError,
    ModelError,
    Outcome,
    Problem,
    Requirement,
    Skip,
    SkipReason,
    Verdict,
    Version,
)
from conformance.model.registration import suggest
from conformance.model.requirement import Declaration, profile_capabilities

ALL = "all"
EXTENDED = "extended"


class UnknownProfileError(ModelError):
    """A profile that does not exist."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is no profile {name!r}; known are {', '.join(profile_names())}")


@dataclass(frozen=True)
class NotDeclared:
    """The binding does not claim what the requirement is about; ``detail`` says what."""

    detail: str


@dataclass(frozen=True)
class Selected:
    """One requirement and whether to check it: ``obstacle`` is None if so."""

    requirement: Requirement
    obstacle: NotDeclared | Skip | None = None

    @property
    def applicable(self) -> bool:
        """Whether a check has to decide it."""
        return self.obstacle is None

    def outcome(self) -> Outcome:
        """Return the outcome of a requirement that is not checked.

        Raises:
            ValueError: it has to be checked.
        """
        match self.obstacle:
            case NotDeclared(detail):
                return Outcome(self.requirement.id, Verdict.NOT_DECLARED, message=detail)
            case Skip(detail=detail) as skip:
                return Outcome(self.requirement.id, Verdict.SKIPPED, message=detail, skip=skip)
            case None:
                raise ValueError(f"{self.requirement.id} has to be checked")


def profile_names() -> tuple[str, ...]:
    """Return the names that a profile can have: all, core, extended, and the capabilities with a profile."""
    return (ALL, CORE, EXTENDED, *(capability.value for capability in profile_capabilities()))


def select(
    catalogue: Catalogue,
    binding: Binding,
    kubevirt_version: str,
    profile: str = ALL,
    ids: Collection[str] | None = None,
    *,
    checked: Collection[str] | None = None,
    environment: Collection[str] = (),
    disabled_gates: Mapping[str, str] | None = None,
) -> tuple[Selected, ...]:
    """Decide for every requirement, in report order, whether it is to be checked.

    ``ids`` limits the run to some requirements, ``checked`` are those the suite has a check for (None: all),
    ``environment`` what the cluster is besides Kubernetes (``hco``), ``disabled_gates`` the feature gates that are kept
    off there, each with the site file that says so. Facts about the binding and the cluster come
    before the choices of the run: what is not declared stays so, whatever was asked for.

    Raises:
        UnknownProfileError, UnknownRequirementError: ``profile`` or one of ``ids`` does not exist.
        VersionError: ``kubevirt_version`` is no version.
        DefinitionError: the binding names requirements that do not exist or cannot be opted out of or into.
    """
    if profile not in profile_names():
        raise UnknownProfileError(profile)
    for id_ in ids or ():
        if id_ not in catalogue.ids:
            raise UnknownRequirementError(id_, catalogue.ids)
    problems = tuple(binding_problems(catalogue, binding))
    if problems:
        raise DefinitionError(problems)
    version = Version.parse(kubevirt_version)
    rules: tuple[Callable[[Requirement], NotDeclared | Skip | None], ...] = (
        lambda requirement: _undeclared(requirement, binding),
        lambda requirement: _other_environment(requirement, environment),
        lambda requirement: _too_old(requirement, binding, version),
        lambda requirement: _gate_disabled(requirement, version, disabled_gates or {}),
        lambda requirement: _unchecked(requirement, checked),
        lambda requirement: _outside_profile(requirement, profile),
        lambda requirement: _not_selected(requirement, ids),
    )
    return tuple(
        Selected(requirement, next((found for rule in rules if (found := rule(requirement)) is not None), None))
        for requirement in catalogue.requirements
    )


def binding_problems(catalogue: Catalogue, binding: Binding) -> Iterable[Problem]:
    """Find the requirement ids in a binding's files that mean nothing to the catalogue."""
    if binding.mutant is not None:
        for id_ in binding.mutant.caught_by:
            if id_ not in catalogue.ids:
                yield _unknown(binding.mutant.source, "spec.caughtBy", id_, catalogue)
    for field, ids, wanted in (
        ("spec.facts.unsupported", binding.facts.unsupported, Declaration.OPT_OUT),
        ("spec.facts.supports", binding.facts.supports, Declaration.OPT_IN),
    ):
        allowed = [item.id for item in catalogue.requirements if item.declaration is wanted]
        for id_ in ids:
            if id_ not in catalogue.ids:
                yield _unknown(binding.source, field, id_, catalogue)
            elif id_ not in allowed:
                fix = f"remove it; possible are {', '.join(allowed)}"
                yield Problem(binding.source, field, id_, "a vendor has no say about this requirement", fix)


def _unknown(file: Path, field: str, id_: str, catalogue: Catalogue) -> Problem:
    close = suggest(id_, catalogue.ids)
    fix = f"did you mean {close}?" if close else "name an id of the catalogue"
    return Problem(file, field, id_, "the catalogue has no such requirement", fix)


def _undeclared(requirement: Requirement, binding: Binding) -> NotDeclared | None:
    missing = requirement.missing(binding.capabilities)
    if Capability.PLUGIN.value in missing:
        return NotDeclared("the requirement is about a registration, which a core binding has not")
    if missing:
        lacking = [term for term in missing if not term.startswith("!")]
        excluded = [term[1:] for term in missing if term.startswith("!")]
        parts = (
            ["the binding does not declare " + ", ".join(term.replace("|", " or ") for term in lacking)]
            if lacking
            else []
        )
        parts += ["the requirement is for bindings without " + ", ".join(excluded)] if excluded else []
        return NotDeclared("; ".join(parts))
    if requirement.declaration is Declaration.OPT_OUT and requirement.id in binding.facts.unsupported:
        return NotDeclared("the vendor documents it as unsupported")
    if requirement.declaration is Declaration.OPT_IN and requirement.id not in binding.facts.supports:
        return NotDeclared("optional, and the vendor does not claim it")
    return None


def _other_environment(requirement: Requirement, environment: Collection[str]) -> Skip | None:
    if requirement.environment and requirement.environment not in environment:
        return Skip(SkipReason.OTHER_ENVIRONMENT, f"only on a cluster with {requirement.environment}")
    return None


def _too_old(requirement: Requirement, binding: Binding, version: Version) -> Skip | None:
    first = requirement.first_kubevirt(binding.capabilities)
    if version < first:
        return Skip(SkipReason.KUBEVIRT_TOO_OLD, f"from KubeVirt {first} on; the cluster has {version}")
    return None


def _gate_disabled(requirement: Requirement, version: Version, disabled: Mapping[str, str]) -> Skip | None:
    for gate in requirement.gates(version):
        if gate in disabled:
            text = f"needs the feature gate {gate}, which the site file {disabled[gate]} names as kept off"
            return Skip(SkipReason.GATE_DISABLED, text)
    return None


def _unchecked(requirement: Requirement, checked: Collection[str] | None) -> Skip | None:
    if checked is not None and requirement.id not in checked:
        return Skip(
            SkipReason.NO_CHECK, "this version of the suite has no check for it, or none for a binding of this kind"
        )
    return None


def _outside_profile(requirement: Requirement, profile: str) -> Skip | None:
    extended = any(name != CORE for name in requirement.profiles)
    inside = profile == ALL or profile in requirement.profiles or (profile == EXTENDED and extended)
    return None if inside else Skip(SkipReason.OUTSIDE_PROFILE, f"not part of profile {profile}")


def _not_selected(requirement: Requirement, ids: Collection[str] | None) -> Skip | None:
    if ids is not None and requirement.id not in ids:
        return Skip(SkipReason.NOT_SELECTED, "the run was limited to other requirements")
    return None
