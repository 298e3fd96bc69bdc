"""Converts between a report and the form its file has."""

from __future__ import annotations

from conformance.model import (
    BindingSummary,
    Capability,
    Entry,
    Implementation,
    Measurement,
    Outcome,
    ProfileResult,
    Report,
    Skip,
    UpstreamCase,
    UpstreamSuite,
    Verdict,
)
from conformance.report.files import (
    API_VERSION,
    KIND,
    SUITE_NAME,
    BindingFile,
    ClusterFile,
    ImplementationFile,
    JudgementFile,
    MeasurementFile,
    ProfileFile,
    ProfilesFile,
    ReportFile,
    RequirementFile,
    SkipFile,
    StatisticsFile,
    SuiteFile,
    UpstreamCaseFile,
    UpstreamFile,
)


def to_file(report: Report) -> ReportFile:
    """Return the report as its file has it, with the verdict that follows from its entries."""
    judgement = report.judgement
    return ReportFile(
        api_version=API_VERSION,
        kind=KIND,
        date=report.date,
        seconds=report.seconds,
        suite=SuiteFile(name=SUITE_NAME, version=report.suite_version),
        implementation=_implementation_file(report.implementation),
        binding=_binding_file(report.binding),
        cluster=ClusterFile(
            mode=report.mode,
            kubevirt_version=report.kubevirt_version,
            kubernetes_version=report.kubernetes_version,
            environment=dict(report.environment),
        ),
        judgement=JudgementFile(
            verdict=judgement.summary,
            certified=judgement.certified,
            obstacles=list(judgement.obstacles),
            failed_must=list(judgement.failed_must),
            undecided_must=list(judgement.undecided_must),
            failed_should=list(judgement.failed_should),
            unverified=list(judgement.unverified),
        ),
        profiles=ProfilesFile(
            core=_profile_file(judgement.core), extended=[_profile_file(profile) for profile in judgement.extended]
        ),
        requirements=[_requirement_file(entry) for entry in report.entries],
        upstream=_upstream_file(report.upstream) if report.upstream else None,
    )


def from_file(file: ReportFile) -> Report:
    """Return the report that a file holds. Its verdict is computed anew.

    Raises:
        OutcomeError, ReportError: an outcome or the report contradicts itself.
    """
    return Report(
        binding=BindingSummary(
            name=file.binding.name,
            digest=file.binding.digest,
            attachment=file.binding.attachment,
            declared=frozenset(file.binding.declared),
            capabilities=frozenset(file.binding.capabilities),
            mutant=file.binding.mutant,
        ),
        implementation=Implementation(
            organization=file.implementation.organization,
            project=file.implementation.project,
            version=file.implementation.version,
            url=file.implementation.url,
            contact=tuple(file.implementation.contact),
        ),
        suite_version=file.suite.version,
        date=file.date,
        seconds=file.seconds,
        mode=file.cluster.mode,
        kubevirt_version=file.cluster.kubevirt_version,
        kubernetes_version=file.cluster.kubernetes_version,
        entries=tuple(_entry(requirement) for requirement in file.requirements),
        environment=dict(file.cluster.environment),
        upstream=_upstream(file.upstream) if file.upstream else None,
    )


def _upstream(file: UpstreamFile) -> UpstreamSuite:
    cases = tuple(UpstreamCase(case.name, case.result, case.seconds, case.message) for case in file.cases)
    return UpstreamSuite(file.image, file.seconds, cases, file.skipped, file.trouble)


def _upstream_file(suite: UpstreamSuite) -> UpstreamFile:
    return UpstreamFile(
        image=suite.image,
        seconds=suite.seconds,
        cases=[
            UpstreamCaseFile(name=case.name, result=case.result, seconds=case.seconds, message=case.message)
            for case in suite.cases
        ],
        skipped=suite.skipped,
        trouble=suite.trouble,
    )


def _entry(file: RequirementFile) -> Entry:
    outcome = Outcome(
        requirement=file.id,
        verdict=file.verdict,
        seconds=file.seconds,
        message=file.message,
        skip=Skip(file.skip.reason, file.skip.detail) if file.skip else None,
        evidence=tuple(file.evidence),
        measurements=tuple(Measurement(m.name, m.value, m.unit, m.method) for m in file.measurements),
    )
    return Entry(
        title=file.title,
        level=file.level,
        family=file.family,
        profiles=tuple(file.profiles),
        capabilities=tuple(file.capabilities),
        verifies=frozenset(file.verifies),
        sources=tuple(file.sources),
        outcome=outcome,
    )


def _implementation_file(implementation: Implementation) -> ImplementationFile:
    return ImplementationFile(
        organization=implementation.organization,
        project=implementation.project,
        version=implementation.version,
        url=implementation.url,
        contact=list(implementation.contact),
    )


def _binding_file(binding: BindingSummary) -> BindingFile:
    return BindingFile(
        name=binding.name,
        mutant=binding.mutant,
        attachment=binding.attachment,
        declared=_ordered(binding.declared),
        capabilities=_ordered(binding.capabilities),
        digest=binding.digest,
    )


def _ordered(capabilities: frozenset[Capability]) -> list[Capability]:
    return [capability for capability in Capability if capability in capabilities]


def _profile_file(profile: ProfileResult) -> ProfileFile:
    counts = profile.counts
    statistics = StatisticsFile(
        total=profile.total,
        conformant=counts[Verdict.CONFORMANT],
        non_conformant=counts[Verdict.NON_CONFORMANT],
        inconclusive=counts[Verdict.INCONCLUSIVE],
        not_declared=counts[Verdict.NOT_DECLARED],
        skipped=counts[Verdict.SKIPPED],
        not_applicable=profile.excused,
    )
    return ProfileFile(name=profile.profile, result=profile.summary, statistics=statistics)


def _requirement_file(entry: Entry) -> RequirementFile:
    outcome = entry.outcome
    return RequirementFile(
        id=entry.id,
        level=entry.level,
        title=entry.title,
        family=entry.family,
        profiles=list(entry.profiles),
        capabilities=list(entry.capabilities),
        verifies=_ordered(entry.verifies),
        sources=list(entry.sources),
        verdict=outcome.verdict,
        seconds=outcome.seconds,
        message=outcome.message,
        skip=SkipFile(reason=outcome.skip.reason, detail=outcome.skip.detail) if outcome.skip else None,
        evidence=list(outcome.evidence),
        measurements=[
            MeasurementFile(name=m.name, value=m.value, unit=m.unit, method=m.method) for m in outcome.measurements
        ],
    )
