"""``binding-conformance run``: a pytest session per binding, one after the other, on one cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import FrameType

from conformance.catalogue import load, profile_names
from conformance.catalogue.catalogue import UnknownRequirementError
from conformance.catalogue.selection import UnknownProfileError
from conformance.cli.clusters import known_to_sandbox, require_guests
from conformance.cluster.kindconfig import KindOptions
from conformance.cluster.provider import Progress, Provider
from conformance.cluster.shape import USUAL, ImpossibleShape, Shape
from conformance.model import Binding, ModelError, Verdict, load_binding, resolve
from conformance.plugin.paths import data_root, fixtures_directory, suites_directory
from conformance.plugin.sharding import Shard, ShardError
from conformance.report import read_report
from conformance.site import load_site

ENTRY_POINT = "binding_conformance"
_USAGE, _NOT_CONFORMANT, _ENVIRONMENT = 2, 1, 3


@dataclass(frozen=True)
class Request:
    """The command line, as given."""

    bindings: tuple[str, ...]
    cluster: str
    kubeconfig: Path | None
    kubevirt_version: str
    kubernetes_version: str
    kind: tuple[str, ...]
    profile: str
    requirements: tuple[str, ...]
    workers: int
    report_dir: Path
    keep_on_failure: bool
    timeout_factor: float
    secondary_network: str
    rerun_failed: Path | None
    site: Path | None = None
    guests: tuple[str, ...] = ()
    node_access: bool = False
    shard: str = ""
    registered: bool = False
    upstream_conformance: bool = False
    guest: str = ""
    hco: bool = False
    shape: Shape = USUAL


def judge_all(request: Request, progress: Progress) -> int:
    """Judge every binding; the worst exit status counts: definition, then not conformant, then environment.

    All definitions and the site file are read before anything starts. Raises ModelError for a definition, site file,
    profile or requirement that cannot be, ProviderError when no cluster can be had.
    """
    load_site(request.site)
    bindings = [load_binding(resolve(name, fixtures_directory())) for name in request.bindings]
    requirements = _requirements(request)
    if request.profile not in profile_names():
        raise UnknownProfileError(request.profile)
    if request.rerun_failed and not requirements:
        progress("nothing failed in that report")
        return 0
    require_guests(request.cluster, request.guests)
    request.shape.require(request.cluster)
    if request.cluster == "kind":
        _kind_options(request)
    elif request.cluster == "sandbox":
        known_to_sandbox(request.kubevirt_version)
    _require_shard(request.shard)
    statuses: list[int] = []
    with _shared_cluster(request, bindings, statuses, progress) as state:
        for binding in bindings:
            directory = request.report_dir if len(bindings) == 1 else request.report_dir / binding.label
            status, stopped = _session(_command(request, binding, requirements, directory, state))
            statuses.append(status)
            if stopped:
                progress(f"stopped while judging {binding.label}; nothing further is judged")
                return _ENVIRONMENT
    return next((worst for worst in (_USAGE, _NOT_CONFORMANT, _ENVIRONMENT) if worst in statuses), 0)


def _require_shard(text: str) -> None:
    try:
        Shard.parse(text)
    except ShardError as error:
        raise ModelError(f"--shard {error}") from error


def _requirements(request: Request) -> tuple[str, ...]:
    known = load().ids
    for requirement in request.requirements:
        if requirement not in known:
            raise UnknownRequirementError(requirement, known)
    if request.rerun_failed is None:
        return request.requirements
    path = request.rerun_failed
    report = read_report(path / "report.yaml" if path.is_dir() else path)
    settled = (Verdict.CONFORMANT, Verdict.NOT_DECLARED)
    failed = [e.id for e in report.entries if e.verdict not in settled and (e.outcome.unproven or not e.outcome.skip)]
    return tuple(failed)


@contextmanager
def _shared_cluster(
    request: Request, bindings: Sequence[Binding], statuses: Sequence[int], progress: Progress
) -> Iterator[Path | None]:
    """One cluster for several bindings; a single one brings up its own. Yields the state directory of a shared sandbox;
    the sessions find a kind cluster by its name.

    It stays when the user wants to look at what failed: ``statuses`` are read at the end.
    """
    if request.cluster == "kubeconfig" or len(bindings) == 1:
        yield None
        return
    provider = _own_provider(request, bindings)
    provider.up(progress)
    try:
        yield getattr(provider, "state_directory", None)
    finally:
        if request.keep_on_failure and any(statuses):
            progress(f"the cluster stays up; end it with `binding-conformance down --cluster {request.cluster}`")
        else:
            provider.down()


def _own_provider(request: Request, bindings: Sequence[Binding]) -> Provider:
    if request.cluster == "kind":
        from conformance.cluster.kind import KindProvider

        return KindProvider(_kind_options(request), data_root(), request.report_dir / "cluster-logs")
    from conformance.cluster.sandbox import SandboxProvider

    return SandboxProvider(
        detach=request.keep_on_failure,
        kubevirt_version=request.kubevirt_version,
        guests=request.guests,
        hco=request.hco,
        shape=_shape_for(request.shape, bindings),
    )


def _shape_for(shape: Shape, bindings: Sequence[Binding]) -> Shape:
    """The shape of one sandbox for all of them. Raises ImpossibleShape where they want different ones."""
    wanted = {binding.facts.ip_provider or "routed" for binding in bindings}
    if shape.ip_provider or len(wanted) == 1:
        return shape.meant_for(bindings[0])
    each = ", ".join(f"{binding.label}: {binding.facts.ip_provider or 'routed'}" for binding in bindings)
    raise ImpossibleShape(f"the bindings are for different IP providers ({each}): run them apart, or say --ip-provider")


def _kind_options(request: Request) -> KindOptions:
    versions = {"kubevirt_version": request.kubevirt_version, "kubernetes_version": request.kubernetes_version}
    return KindOptions.parse(request.kind, **versions)


def _command(
    request: Request, binding: Binding, requirements: tuple[str, ...], directory: Path, state: Path | None
) -> list[str]:
    source = binding.mutant.source if binding.mutant else binding.source
    installed = any(point.name == ENTRY_POINT for point in entry_points(group="pytest11"))
    options: Mapping[str, object] = {
        "--binding": source,
        "--cluster": request.cluster,
        "--kubeconfig": request.kubeconfig or "",
        "--kubevirt-version": request.kubevirt_version,
        "--kubernetes-version": request.kubernetes_version,
        "--guest": request.guest,
        "--shard": request.shard,
        "--profile": request.profile,
        "--report-dir": directory,
        "--timeout-factor": request.timeout_factor,
        "--secondary-network": request.secondary_network,
        "--sandbox-state": state or "",
        "--site": request.site or "",
    }
    command = [sys.executable, "-m", "pytest", str(suites_directory())]
    command += [] if installed else ["-p", "conformance.plugin"]
    # the project's own test settings are none of a vendor's business
    command += ["-o", "addopts=", "--strict-markers", "--tb=short", "-p", "no:cacheprovider"]
    command += [f"{name}={value}" for name, value in options.items() if value != ""]
    command += [f"--{name}={word}" for name, word in request.shape.words().items() if word]
    command += [f"--requirement={requirement}" for requirement in requirements]
    command += [f"--kind={word}" for word in request.kind]
    command += [f"--guest-image={guest}" for guest in request.guests]
    command += ["--keep-on-failure"] if request.keep_on_failure else []
    command += ["--registered"] if request.registered else []
    command += ["--upstream-conformance"] if request.upstream_conformance else []
    command += ["--node-access"] if request.node_access else []
    command += ["--hco"] if request.hco else []
    return command + (["-n", str(request.workers)] if request.workers > 1 else [])


def _session(command: list[str]) -> tuple[int, bool]:
    """Run one pytest session: its exit status, translated, and whether the user asked to stop.

    Ctrl-C reaches the session by itself, SIGTERM is passed on; either way we wait for it to clean up.
    """
    path = os.pathsep.join(filter(None, (str(data_root()), os.environ.get("PYTHONPATH", ""))))
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})
    asked: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if number == signal.SIGTERM:
            process.send_signal(signal.SIGTERM)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    # pytest's own: 4 usage, 5 nothing collected; negative: killed
    return {0: 0, 1: _NOT_CONFORMANT, 2: _USAGE, 4: _USAGE}.get(status, _ENVIRONMENT), bool(asked)
