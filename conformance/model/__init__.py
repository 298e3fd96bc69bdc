"""The words of the framework as types: binding, capability, requirement, verdict, report. Frozen and typed.

Only `load_binding`, `load_mutant` and `resolve` read files; everything else is plain data.
"""

from conformance.model.binding import (
    LONGEST_STATIC_PREFIX,
    Artifacts,
    Attachment,
    Binding,
    CniPluginArtifact,
    Facts,
    ImageArtifact,
    Implementation,
    MutantInfo,
)
from conformance.model.capability import DERIVED, STRUCTURAL, Capability, CapabilityTerm
from conformance.model.corebinding import CoreBinding
from conformance.model.definition import bundled, load_binding, load_mutant, resolve
from conformance.model.jsonvalue import JsonObject, JsonValue
from conformance.model.judgement import Entry, Judgement, Mode, ProfileResult, Summary, judge
from conformance.model.problem import DefinitionError, ModelError, Problem, Severity
from conformance.model.registration import (
    NadReference,
    Registration,
    RegistrationProblem,
    registration_problems,
)
from conformance.model.report import BindingSummary, Report, ReportError
from conformance.model.requirement import CORE, Declaration, Level, Requirement, Seen
from conformance.model.upstream import UpstreamCase, UpstreamResult, UpstreamSuite
from conformance.model.verdict import (
    Measurement,
    Outcome,
    OutcomeError,
    Skip,
    SkipReason,
    Verdict,
    merge_outcomes,
)
from conformance.model.version import Version, VersionError

__all__ = [
    "CORE",
    "DERIVED",
    "LONGEST_STATIC_PREFIX",
    "STRUCTURAL",
    "Artifacts",
    "Attachment",
    "Binding",
    "BindingSummary",
    "Capability",
    "CapabilityTerm",
    "CniPluginArtifact",
    "CoreBinding",
    "Declaration",
    "DefinitionError",
    "Entry",
    "Facts",
    "ImageArtifact",
    "Implementation",
    "JsonObject",
    "JsonValue",
    "Judgement",
    "Level",
    "Measurement",
    "Mode",
    "ModelError",
    "MutantInfo",
    "NadReference",
    "Outcome",
    "OutcomeError",
    "Problem",
    "ProfileResult",
    "Registration",
    "RegistrationProblem",
    "Report",
    "ReportError",
    "Requirement",
    "Seen",
    "Severity",
    "Skip",
    "SkipReason",
    "Summary",
    "UpstreamCase",
    "UpstreamResult",
    "UpstreamSuite",
    "Verdict",
    "Version",
    "VersionError",
    "bundled",
    "judge",
    "load_binding",
    "load_mutant",
    "merge_outcomes",
    "registration_problems",
    "resolve",
]
