"""The suite can fail: each mutant is caught by exactly the requirements it names, and sound bindings by none.

A requirement whose precondition the fault takes away may be inconclusive, never non-conformant.

For each push a mutant is judged by the requirements that must catch it and by those that one plain VM decides; that no
other check catches it takes the whole suite for every mutant, and is left to `make mutants`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from conformance.model import Binding, Level, Report, Verdict, load_binding
from conformance.report import read_report

ROOT = Path(__file__).parents[2]
MUTANTS = sorted((ROOT / "fixtures" / "mutants").glob("*.yaml"))
SOUND = sorted((ROOT / "fixtures" / "bindings").glob("*.yaml"))
# The faults are seen at once or never: the bounds need no allowance for a busy machine.
MUTANT_TIMEOUT_FACTOR = "0.5"
RUN_SECONDS = 1500
# What one plain VM decides: cheap, and most faults that reach too far would show here.
PLAIN = ("REG-001", "VM-001", "VM-002", "DHCP-001", "MTU-001", "CONN-001", "CONN-002", "OBS-001", "OBS-003")
# Their faults show only when bounds run out, in many checks one after the other: for `make mutants`, not for each push.
SLOW = {
    "macvtap-registers-once",
    "managedtap-deaf-after-boot",
    "managedtap-hco-overwrites",
    "managedtap-lease-once",
    "managedtap-no-ipv6",
    "managedtap-no-refresh",
    "managedtap-no-router",
    "managedtap-sticky-moved",
    "managedtap-target-without-dhcp",
    "managedtap-wrong-address",
    "managedtap-tuned-link-held-up",
    "passt-hook-error",
    "passt-no-shutdown",
    "passt-one-node-only",
    "passt-refuses-target",
    "passt-slow-hook",
    "passt-slow-info",
    "passt-vhostuser-drops-ipv6",
    "passt-vhostuser-private-memory",
    "passt-vhostuser-refresh",
    "passt-wrong-alias",
    "slirp",
    "slirp-no-forward",
    "tap-always-eth0",
    "tap-copies-to-eth0",
    "tap-one-queue",
    "tap-numbered-name",
    "tap-stale-state",
}
# Much like others that are judged for each push: the same edit of the domain, the same migration, the same hook, the
# same place of the fault, the same calls of a CNI plugin.
ALIKE_MUTANTS = {
    "managedtap-answers-probes",
    "managedtap-any-client",
    "managedtap-any-neighbour",
    "managedtap-deaf-to-unicast",
    "managedtap-no-search",
    "managedtap-options-claimed",
    "managedtap-pod-host-name",
    "managedtap-tuned-debug-port",
    "managedtap-tuned-first-only",
    "managedtap-tuned-link-down-after-pause",
    "managedtap-tuned-link-up-after-migration",
    "managedtap-tuned-no-acpi-index",
    "managedtap-tuned-no-mtu",
    "managedtap-tuned-no-pci-address",
    "managedtap-tuned-secondary-unplugged",
    "passt-all-ports",
    "passt-deaf-to-sigterm",
    "passt-fixed-name",
    "passt-hides-peers",
    "passt-link-left-behind",
    "passt-listed-only",
    "passt-logs-vmi",
    "passt-loses-long",
    "passt-nat-flap",
    "passt-nat-outage-understated",
    "passt-newest-version-only",
    "passt-node-sysctls",
    "passt-one-socket-name",
    "passt-other-source",
    "passt-refuses-target",
    "passt-rng-dropped",
    "passt-own-directory-only",
    "passt-second-interface",
    "passt-short-cut",
    "passt-vhostuser-memory-left",
    "passt-vhostuser-new-ipv6-claimed",
    "passt-unknown-attachment",
    "tap-first-secondary",
    "tap-newest-version",
    "tap-no-check",
    "tap-old-version-warning",
    "tap-silent-failure",
}
# Their fault shows where HCO owns the KubeVirt CR.
UNDER_HCO = {"managedtap-hco-overwrites"}
# What one migration shows of a pod network on which a VM keeps its addresses.
STICKY = ("REG-001", "DHCP-001", "MIG-003", "MIG-005", "MIG-006", "MIG-007", "MIG-019")
# What the contract explains of a bundled binding, and of every mutant of it.
# Core passt leaves the guest the MTU of 65520 that passt offers, whatever the pod's is; seen on a real v1.9.0 too.
# slirp's interface is QEMU's alone: a VMI's status has neither MAC, address nor link of it; recorded on v1.9.0.
# KubeVirt's bridge keeps the guest's address on a link of the pod, whose kernel then takes a renewal that comes from it
# for forged, and drops it.
# passt offers that MTU under every binding (a sidecar only holds the NIC to the pod's), and a host name only where it
# is told one, for which libvirt has no setting. QEMU's DHCP server has an MTU never, a host name by a setting, and
# gives a client whichever address of the network it asks for.
PASST_LEASE = {"DHCP-005", "DHCP-006"}
EXPLAINED = {
    "bridge": {"DHCP-008"},
    "passt": PASST_LEASE,
    "passt-core": {"MTU-001", "MTU-002", *PASST_LEASE},
    "passt-nat": PASST_LEASE,
    "passt-vhostuser": PASST_LEASE,
    "slirp": {
        "CONN-001",
        "DHCP-005",
        "DHCP-006",
        "DHCP-009",
        "HOOK-006",
        "LINK-004",
        "OBS-001",
        "OBS-003",
        "VM-002",
        "VM-010",
    },
}


# Sound bindings that are much like others, which are judged for each push.
ALIKE = {
    "bridge",
    "macvtap",
    "managedtap-static",
    "managedtap-sticky",
    "managedtap-tuned",
    "masquerade",
    "passt-core",
    "passt-nat",
    "passt-vhostuser",
    "tap",
}


def parameters(definitions: list[Path], slow: Collection[str]) -> list[ParameterSet]:
    """One test parameter a definition."""
    marks = {True: (pytest.mark.slow,), False: ()}
    return [pytest.param(path, id=path.stem, marks=marks[path.stem in slow]) for path in definitions]


def sandbox_for(definition: Path, binding: Binding, request: pytest.FixtureRequest) -> Path:
    """The state directory of the sandbox on which this definition is judged."""
    if definition.stem in UNDER_HCO:
        name = "hco_sandbox"
    else:
        name = "sticky_sandbox" if binding.facts.ip_provider == "sticky" else "sandbox"
    found: Path = request.getfixturevalue(name)
    return found


def judge(
    definition: Path, sandbox: Path, directory: Path, factor: str, requirements: Collection[str] = ()
) -> tuple[int, Report]:
    """Run the suites, or what they have for some requirements, for one definition: exit status and report."""
    command = [sys.executable, "-m", "pytest", "suites", "-q", "--binding", str(definition)]
    command += ["--sandbox-state", str(sandbox), "--report-dir", str(directory), "--timeout-factor", factor]
    command += [f"--requirement={requirement}" for requirement in requirements]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider"], cwd=ROOT, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )
    report = directory / "report.yaml"
    assert report.exists(), f"no report:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.returncode, read_report(report)


def ids(report: Report, verdict: Verdict) -> list[str]:
    return sorted(entry.id for entry in report.entries if entry.verdict is verdict)


def expected_status(report: Report, failing: Collection[str]) -> int:
    """What the command exits with where these fail: a SHOULD is listed and not fatal."""
    return int(any(entry.id in failing and entry.level is Level.MUST for entry in report.entries))


def explain(report: Report) -> str:
    """Every entry that is neither conformant nor out of scope, with its first words."""
    odd = (Verdict.NON_CONFORMANT, Verdict.INCONCLUSIVE)
    return "\n".join(f"{e.id} {e.verdict}: {e.outcome.message[:300]}" for e in report.entries if e.verdict in odd)


# First, as they take longest: whoever is done with them takes the others one by one.
@pytest.mark.parametrize("definition", parameters(SOUND, SLOW | ALIKE))
def test_a_sound_binding_is_conformant(definition: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    sandbox = sandbox_for(definition, load_binding(definition), request)
    status, report = judge(definition, sandbox, tmp_path, "1")
    explained = EXPLAINED.get(definition.stem, set())
    assert ids(report, Verdict.NON_CONFORMANT) == sorted(explained), explain(report)
    assert ids(report, Verdict.INCONCLUSIVE) == [], explain(report)
    assert len(ids(report, Verdict.CONFORMANT)) >= 11
    assert status == expected_status(report, explained)


@pytest.mark.parametrize("definition", parameters(MUTANTS, SLOW | ALIKE_MUTANTS))
def test_a_mutant_is_caught(definition: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    binding = load_binding(definition)
    sandbox = sandbox_for(definition, binding, request)
    assert binding.mutant is not None
    judged = {*PLAIN, *binding.mutant.caught_by}
    wanted = (EXPLAINED.get(binding.name, set()) & judged).union(binding.mutant.caught_by)
    status, report = judge(definition, sandbox, tmp_path, MUTANT_TIMEOUT_FACTOR, sorted(judged))
    assert ids(report, Verdict.NON_CONFORMANT) == sorted(wanted), explain(report)
    assert status == expected_status(report, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("definition", parameters(MUTANTS, ()))
def test_a_mutant_is_caught_by_exactly_the_requirements_it_names(
    definition: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    binding = load_binding(definition)
    sandbox = sandbox_for(definition, binding, request)
    assert binding.mutant is not None
    wanted = EXPLAINED.get(binding.name, set()).union(binding.mutant.caught_by)
    status, report = judge(definition, sandbox, tmp_path, MUTANT_TIMEOUT_FACTOR)
    assert ids(report, Verdict.NON_CONFORMANT) == sorted(wanted), explain(report)
    assert status == expected_status(report, wanted)


def test_a_vm_keeps_its_address_where_the_pod_network_does(sticky_sandbox: Path, tmp_path: Path) -> None:
    definition = ROOT / "fixtures" / "bindings" / "managedtap-sticky.yaml"
    status, report = judge(definition, sticky_sandbox, tmp_path, "1", STICKY)
    assert set(STICKY) <= set(ids(report, Verdict.CONFORMANT)), explain(report)
    assert status == 0


def test_the_slow_ones_exist_and_are_few() -> None:
    mutants, sound = ({path.stem for path in paths} for paths in (MUTANTS, SOUND))
    assert mutants | sound >= SLOW
    assert mutants >= ALIKE_MUTANTS
    assert sound >= ALIKE
    assert len(mutants - SLOW - ALIKE_MUTANTS) >= 8
    assert len(sound - SLOW - ALIKE) >= 2
