"""The commands and their exit statuses: 0 conformant, 1 not conformant, 2 usage or definition error, 3 environment."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from conformance.cli.common import ENVIRONMENT, NOT_CONFORMANT, err, out, reported, say
from conformance.cli.images import app as images_app

app = typer.Typer(
    name="binding-conformance",
    help="Judge a KubeVirt network binding plugin against the conformance catalogue.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _own_cluster(value: str) -> str:
    """A cluster that we make ourselves."""
    if value not in ("sandbox", "kind"):
        raise typer.BadParameter(f"{value} is not one of sandbox, kind")
    return value


def _known_cluster(value: str) -> str:
    from conformance.cluster.provider import MODES

    if value not in MODES:
        raise typer.BadParameter(f"{value} is not one of {', '.join(MODES)}")
    return value


KubeVirtVersion = Annotated[str, typer.Option(help="KubeVirt release that the sandbox stands for, or that kind gets.")]
KubernetesVersion = Annotated[str, typer.Option(help="Kubernetes release of the nodes of --cluster kind.")]
OwnCluster = Annotated[str, typer.Option(help="sandbox or kind", callback=_own_cluster)]
KindWords = Annotated[
    list[str] | None, typer.Option("--kind", metavar="NAME=VALUE", help="Option of --cluster kind; may be repeated.")
]
GuestImages = Annotated[
    list[str] | None,
    typer.Option(
        help="What the sandbox boots for a containerDisk (default: that of the checks): mini, networkd, "
        "networkmanager, or the path of a disk image. May be repeated.",
        metavar="[REFERENCE=]GUEST",
    ),
]
NodeCount = Annotated[str, typer.Option("--nodes", metavar="N", help="How many nodes the sandbox has (default: 2).")]
PodMtu = Annotated[
    str, typer.Option("--pod-mtu", metavar="BYTES", help="MTU of the sandbox's pod network (default: 1500).")
]
IpProviderName = Annotated[
    str,
    typer.Option(
        "--ip-provider",
        metavar="NAME",
        help="Who gives the sandbox's pods their addresses: routed, a network per node, or sticky, one network "
        "that keeps a VM's addresses when it moves (default: what the binding is for, else routed).",
    ),
]
Kubeconfig = Annotated[Path | None, typer.Option(help="Kubeconfig of the cluster; without it, the sandbox's.")]


app.add_typer(images_app)


@app.command()
def doctor(
    *,
    cluster: OwnCluster = "sandbox",
    kind: KindWords = None,
    install: Annotated[bool, typer.Option("--install", help="Install the missing packages with apt-get.")] = False,
) -> None:
    """Say what this machine lacks for the sandbox or for kind, with the fix for each, before anything starts."""
    from conformance.cli.doctoring import examine, examine_kind

    with reported():
        fit = examine_kind(out, kind or ()) if cluster == "kind" else examine(out, say, install=install)
    if not fit:
        raise typer.Exit(ENVIRONMENT)


@app.command("list")
def list_requirements(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per requirement.")] = False,
) -> None:
    """Print the catalogue: every requirement, its level, and the bundled mutants that prove its check."""
    from conformance import catalogue
    from conformance.plugin.paths import fixtures_directory

    mutants = catalogue.mutants_by_requirement(fixtures_directory() / "mutants")
    entries = catalogue.as_json(mutants)
    if as_json:
        json.dump(entries, sys.stdout, indent=1)
        sys.stdout.write("\n")
        return
    for entry in entries:
        proof = f"  [dim]{len(mutants.get(str(entry['id']), []))} mutants[/]" if entry["mutants"] else ""
        out.print(f"{entry['id']:9} {entry['level']:6} {entry['title']}{proof}", highlight=False)


@app.command()
def run(
    bindings: Annotated[
        list[str], typer.Argument(help="Definition files, or names of bundled ones.", metavar="BINDING...")
    ],
    *,
    cluster: Annotated[str, typer.Option(help="sandbox, kind or kubeconfig", callback=_known_cluster)] = "sandbox",
    kubeconfig: Kubeconfig = None,
    kubevirt_version: KubeVirtVersion = "",
    kubernetes_version: KubernetesVersion = "",
    kind: KindWords = None,
    profile: Annotated[str, typer.Option(help="core, extended, all, or a capability.")] = "all",
    requirement: Annotated[list[str] | None, typer.Option(help="Only this requirement; may be repeated.")] = None,
    workers: Annotated[int, typer.Option(help="Processes that run checks.", min=1)] = 1,
    report_dir: Annotated[Path, typer.Option(help="Where the report goes.")] = Path("out/report"),
    site: Annotated[Path | None, typer.Option(help="Site file: local facts of a cluster of yours.")] = None,
    node_access: Annotated[bool, typer.Option(help="Look at the nodes, by a short-lived DaemonSet.")] = False,
    hco: Annotated[bool, typer.Option("--hco", help="Let HCO own the sandbox's KubeVirt CR.")] = False,
    keep_on_failure: Annotated[bool, typer.Option(help="Leave everything in place when a check fails.")] = False,
    timeout_factor: Annotated[float, typer.Option(help="Multiply every timeout.")] = 1.0,
    secondary_network: Annotated[
        str, typer.Option(help="NetworkAttachmentDefinition (namespace/name) for secondary interfaces.")
    ] = "",
    guest: Annotated[str, typer.Option(help="Guest profile: fedora, alpine or reacting.")] = "",
    shard: Annotated[str, typer.Option(help="Only part I of N, I/N; in an indexed Job, job/N.")] = "",
    registered: Annotated[
        bool, typer.Option("--registered", help="The binding is registered already: wait for it, leave it alone.")
    ] = False,
    upstream_conformance: Annotated[
        bool, typer.Option("--upstream-conformance", help="Run KubeVirt's own conformance suite afterwards, too.")
    ] = False,
    guest_image: GuestImages = None,
    nodes: NodeCount = "",
    pod_mtu: PodMtu = "",
    ip_provider: IpProviderName = "",
    rerun_failed: Annotated[
        Path | None, typer.Option(help="Only what was not conformant in this report.", exists=True)
    ] = None,
) -> None:
    """Judge one binding or several and write their reports."""
    from conformance.cli.running import Request, judge_all
    from conformance.cluster.shape import Shape

    with reported():
        shape = Shape.parse(nodes, pod_mtu, ip_provider)
    request = Request(
        bindings=tuple(bindings),
        cluster=cluster,
        kubeconfig=kubeconfig,
        kubevirt_version=kubevirt_version,
        kubernetes_version=kubernetes_version,
        kind=tuple(kind or ()),
        profile=profile,
        requirements=tuple(requirement or ()),
        workers=workers,
        report_dir=report_dir.absolute(),
        keep_on_failure=keep_on_failure,
        timeout_factor=timeout_factor,
        secondary_network=secondary_network,
        shard=shard,
        registered=registered,
        guest=guest,
        upstream_conformance=upstream_conformance,
        rerun_failed=rerun_failed,
        site=site.absolute() if site else None,
        guests=tuple(guest_image or ()),
        node_access=node_access,
        hco=hco,
        shape=shape,
    )
    with reported():
        status = judge_all(request, say)
    raise typer.Exit(status)


@app.command()
def up(
    *,
    cluster: OwnCluster = "sandbox",
    kubevirt_version: KubeVirtVersion = "",
    hco: Annotated[bool, typer.Option("--hco", help="Let HCO own the KubeVirt CR.")] = False,
    kubernetes_version: KubernetesVersion = "",
    kind: KindWords = None,
    guest_image: GuestImages = None,
    nodes: NodeCount = "",
    pod_mtu: PodMtu = "",
    ip_provider: IpProviderName = "",
) -> None:
    """Bring a sandbox or a kind cluster up, leave it running, and print the path of its kubeconfig."""
    from conformance.cli.clusters import bring_up
    from conformance.cluster.shape import Shape

    with reported():
        kubeconfig = bring_up(
            cluster,
            kubevirt_version,
            kubernetes_version,
            kind or (),
            guest_image or (),
            say,
            hco=hco,
            shape=Shape.parse(nodes, pod_mtu, ip_provider),
        )
    sys.stdout.write(f"{kubeconfig}\n")


@app.command()
def down(*, cluster: OwnCluster = "sandbox", kind: KindWords = None) -> None:
    """End the sandbox or kind cluster that `up` started or a run has kept."""
    from conformance.cli.clusters import take_down

    with reported():
        take_down(cluster, kind or (), say)


@app.command()
def register(
    binding: Annotated[str, typer.Argument(help="Definition file, or name of a bundled one.")],
    kubeconfig: Kubeconfig = None,
) -> None:
    """Register a binding and leave it so, for shards that share it (`run --registered`)."""
    from conformance.cli.registering import register_binding

    with reported():
        register_binding(binding, kubeconfig, say)


@app.command()
def unregister(
    binding: Annotated[str, typer.Argument(help="Definition file, or name of a bundled one.")],
    kubeconfig: Kubeconfig = None,
) -> None:
    """Take back what `register` did, and nothing else."""
    from conformance.cli.registering import unregister_binding

    with reported():
        unregister_binding(binding, kubeconfig, say)


@app.command()
def sweep() -> None:
    """Undo what runs that were killed have left: on their clusters, and sandboxes nobody owns any more."""
    from conformance.cli.sweeping import sweep_all

    with reported():
        problems = sweep_all(say)
    for problem in problems:
        err.print(problem, style="red", markup=False)
    if problems:
        raise typer.Exit(ENVIRONMENT)


@app.command()
def access(
    namespace: Annotated[list[str], typer.Option(help="Namespace that a run may use, one per worker; repeat it.")],
    kubeconfig: Kubeconfig = None,
    kubevirt: Annotated[str, typer.Option(help="NAMESPACE/NAME of the KubeVirt CR, where no cluster is asked.")] = "",
    node_access: Annotated[bool, typer.Option(help="Let the run look at the nodes.")] = False,
) -> None:
    """Print the service accounts and roles that a run needs, for a cluster's administrator to apply."""
    from conformance.cli.granting import manifests_for

    with reported():
        text = manifests_for(namespace, kubeconfig, kubevirt, node_access=node_access)
    sys.stdout.write(text)


@app.command()
def verify(
    reports: Annotated[
        list[Path], typer.Argument(metavar="REPORT...", help="A report.yaml, or the directory that holds it.")
    ],
    *,
    rehearsal: Annotated[bool, typer.Option(help="Accept a report from the sandbox.")] = False,
    merge: Annotated[bool, typer.Option("--merge", help="Join the reports of all shards of one run first.")] = False,
    report_dir: Annotated[Path, typer.Option(help="Where the joined report goes.")] = Path("out/report"),
) -> None:
    """Judge a report file offline: each rule with what it got, what it wanted, and the fix."""
    from conformance.cli.verifying import join, print_rules, rules_of

    if len(reports) > 1 and not merge:
        raise typer.BadParameter("one report is judged at a time; --merge joins the shards of one run")
    with reported():
        report = join(reports, report_dir) if merge else reports[0]
        rules = rules_of(report, rehearsal=rehearsal)
    print_rules(rules, out)
    if not all(rule.holds for rule in rules):
        raise typer.Exit(NOT_CONFORMANT)


@app.command(context_settings={"ignore_unknown_options": True})
def ssh(
    vmi: Annotated[str, typer.Argument(help="NAMESPACE/NAME of the VMI.")],
    command: Annotated[list[str] | None, typer.Argument(help="A command instead of a shell.")] = None,
    kubeconfig: Kubeconfig = None,
    user: Annotated[str, typer.Option(help="Login name.")] = "fedora",
    run_id: Annotated[str, typer.Option("--run", help="Run whose keys the guest has (default: the latest).")] = "",
) -> None:
    """Log into a VMI of a kept run by SSH through KubeVirt's portforward, its host key pinned."""
    from conformance.cli.reaching import connect, ssh_session

    _interactive(lambda: ssh_session(connect(kubeconfig), vmi, user, " ".join(command or []), run_id))


@app.command()
def console(
    vmi: Annotated[str, typer.Argument(help="NAMESPACE/NAME of the VMI.")], kubeconfig: Kubeconfig = None
) -> None:
    """Attach to the serial console of a VMI; Ctrl-] detaches. Whoever else has the console loses it."""
    from conformance.cli.reaching import connect, console_session

    _interactive(lambda: console_session(connect(kubeconfig), vmi))


def _interactive(session: Callable[[], int]) -> None:
    with reported():
        status = session()
    raise typer.Exit(status)


def main() -> None:
    """The entry point. Ctrl-C ends with 130, as a shell expects."""
    app()
