"""The report file as pydantic models: the source of its published JSON Schema."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from conformance.model import Capability, Level, Mode, SkipReason, Summary, UpstreamResult, Verdict

API_VERSION: Final = "binding-conformance/v1alpha1"
KIND: Final = "ConformanceReport"
SUITE_NAME: Final = "kubevirt-binding-conformance"

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _File(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=to_camel,
        use_attribute_docstrings=True,
        validate_by_name=True,
        validate_by_alias=True,
    )


class ImplementationFile(_File):
    """Who made the binding."""

    organization: str
    project: str
    version: str
    url: str = ""
    contact: list[str] = []


class BindingFile(_File):
    """The binding that was judged."""

    name: str
    """The name it is registered under."""
    mutant: str = ""
    """Name of the mutant, if the binding was given a fault on purpose."""
    attachment: str
    """`tap`, `managedTap`, `sidecar` or `none`."""
    declared: list[Capability]
    """Capabilities as the vendor lists them."""
    capabilities: list[Capability]
    """Effective capabilities: declared ones and those that follow from the registration."""
    digest: str
    """SHA-256 of everything that went in: definition, manifests and artifact files."""


class SuiteFile(_File):
    """The suite that judged."""

    name: Literal["kubevirt-binding-conformance"]
    version: str


class ClusterFile(_File):
    """The cluster it was judged on. Versions as the cluster tells them, empty if it could not be asked."""

    mode: Mode
    """Where it came from. A report of the sandbox is a rehearsal and never a certificate."""
    kubevirt_version: str
    kubernetes_version: str
    environment: dict[str, str] = {}
    """Further facts by name."""


class JudgementFile(_File):
    """The verdict on the binding; it follows from the requirements below."""

    verdict: Summary
    certified: bool
    """Whether the report counts as a certificate."""
    obstacles: list[str] = []
    """Why it does not."""
    failed_must: list[str] = []
    undecided_must: list[str] = []
    failed_should: list[str] = []
    unverified: list[Capability] = []
    """Capabilities claimed and not shown."""


class StatisticsFile(_File):
    """Number of requirements by verdict."""

    total: int
    conformant: int
    non_conformant: int
    inconclusive: int
    not_declared: int
    skipped: int
    not_applicable: int
    """Those among the skipped that do not apply or have no check."""


class ProfileFile(_File):
    """The result in one profile."""

    name: str
    result: Summary
    statistics: StatisticsFile


class ProfilesFile(_File):
    """The core profile, and one extended profile for each capability of the binding."""

    core: ProfileFile
    extended: list[ProfileFile] = []


class SkipFile(_File):
    """Why a requirement was not decided."""

    reason: SkipReason
    detail: str


class MeasurementFile(_File):
    """A measured value."""

    name: str
    value: Annotated[float, Field(allow_inf_nan=False)]
    unit: str
    method: str


class RequirementFile(_File):
    """One requirement and its outcome."""

    id: str
    level: Level
    title: str
    family: str
    profiles: list[str]
    capabilities: list[str] = []
    """Terms that select the bindings concerned: `mig`, `!ipam`, `attach|ipam`."""
    verifies: list[Capability] = []
    """Capabilities that a conformant outcome speaks for."""
    sources: list[str] = []
    verdict: Verdict
    seconds: Seconds = 0.0
    message: str = ""
    skip: SkipFile | None = None
    evidence: list[str] = []
    """Paths relative to the report."""
    measurements: list[MeasurementFile] = []


class UpstreamCaseFile(_File):
    """One case of KubeVirt's own conformance suite."""

    name: str
    result: UpstreamResult
    seconds: Seconds = 0.0
    message: str = ""


class UpstreamFile(_File):
    """KubeVirt's own conformance suite with the binding as primary. It does not count for the verdict."""

    image: str
    seconds: Seconds
    cases: list[UpstreamCaseFile] = []
    """Those that ran."""
    skipped: Annotated[int, Field(ge=0)] = 0
    """Those that its label filter left out."""
    trouble: str = ""
    """Why there is no result."""


class ReportFile(_File):
    """What the conformance suite found out about one binding in one run."""

    api_version: Literal["binding-conformance/v1alpha1"]
    kind: Literal["ConformanceReport"]
    date: Annotated[datetime, Field(strict=False)]
    """Start of the run, RFC 3339 with time zone."""
    seconds: Seconds
    """Wall time of the run."""
    suite: SuiteFile
    implementation: ImplementationFile
    binding: BindingFile
    cluster: ClusterFile
    judgement: JudgementFile
    profiles: ProfilesFile
    requirements: list[RequirementFile]
    upstream: UpstreamFile | None = None
