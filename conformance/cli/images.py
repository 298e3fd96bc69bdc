"""``binding-conformance images``: what the suite uses, and how it gets to where there is no registry."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from conformance.cli.common import err, out, reported, say
from conformance.host.engine import ENGINES, Engine
from conformance.images import bundle
from conformance.images.lock import RESOLVE, ImagesLock, LockedImage, LockedManifest, Part
from conformance.images.manifests import Manifests
from conformance.images.registry import Registries
from conformance.images.resolve import resolve
from conformance.plugin.paths import fixtures_directory

ENVIRONMENT = 3

app = typer.Typer(
    name="images", help="The images and manifests the suite uses, locked by digest.", no_args_is_help=True
)

KubeVirt = Annotated[str, typer.Option("--kubevirt-version", help="Only of this KubeVirt release.")]
Kubernetes = Annotated[
    str, typer.Option("--kubernetes-version", help="Only of this Kubernetes release (kind's nodes).")
]
Parts = Annotated[
    list[Part] | None,
    typer.Option("--part", help="Only this part; may be repeated (default: a cluster and the suite)."),
]
EngineOption = Annotated[str, typer.Option("--engine", help=f"{' or '.join(ENGINES)} (default: the one that answers)")]
LockFile = Annotated[Path | None, typer.Option("--lock", help="Another lock than the suite's own.")]
RequireDigests = Annotated[bool, typer.Option("--require-digests", help="Refuse what is not locked by digest.")]

# what a cluster and a run need; KubeVirt's own conformance suite is large and optional
_USUAL = tuple(part for part in Part if part is not Part.UPSTREAM)


@app.command("list")
def list_images(
    kubevirt: KubeVirt = "",
    kubernetes: Kubernetes = "",
    parts: Parts = None,
    lock_file: LockFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per image.")] = False,
) -> None:
    """Print every image: reference, part, and what it is for."""
    with reported():
        lock = _lock(lock_file)
        images = _chosen(lock, kubevirt, kubernetes, parts or tuple(Part), newest=False)
    if as_json:
        fields = [{**vars(i), "part": i.part.value, "reference": i.reference, "resolved": i.resolved} for i in images]
        sys.stdout.write(json.dumps(fields, indent=1) + "\n")
        return
    for image in images:
        state = "" if image.digest.startswith("sha256:") else f"  [yellow]{image.digest}[/]"
        out.print(f"{image.reference}{state}  [dim]{image.part.value}: {image.use}[/]", highlight=False, soft_wrap=True)
    missing = [image for image in images if not image.resolved]
    if missing:
        err.print(f"{len(missing)} of {len(images)} have no digest yet: {RESOLVE}", markup=False, soft_wrap=True)


@app.command()
def lock(
    resolve_: Annotated[bool, typer.Option("--resolve", help="Ask the registries for what is missing.")] = False,
    lock_file: LockFile = None,
    mirrors: Annotated[
        list[str] | None, typer.Option("--registry-mirror", help="HOST=URL, asked instead of HOST; may be repeated.")
    ] = None,
) -> None:
    """Say what is not locked by digest yet; with --resolve, fill it in."""
    with reported():
        found = _lock(lock_file)
        problems = resolve(found, Registries(_mapping(mirrors or [])), say) if resolve_ else []
        found = _lock(lock_file)
    for problem in problems:
        err.print(problem, style="red", markup=False, soft_wrap=True)
    missing = [i.name for i in found.images if not i.resolved] + [m.url for m in found.manifests if not m.resolved]
    for name in missing:
        out.print(f"unresolved  {name}", highlight=False, soft_wrap=True)
    out.print(f"{len(found.images) + len(found.manifests) - len(missing)} locked, {len(missing)} unresolved")
    if missing and not resolve_:
        err.print(RESOLVE, markup=False, soft_wrap=True)
    if problems:
        raise typer.Exit(ENVIRONMENT)


@app.command()
def save(
    directory: Annotated[Path, typer.Argument(help="The bundle's directory.")],
    kubevirt: KubeVirt = "",
    kubernetes: Kubernetes = "",
    parts: Parts = None,
    engine: EngineOption = "",
    lock_file: LockFile = None,
    manifests: Annotated[Path | None, typer.Option(help="Directory of the manifests, instead of their URLs.")] = None,
    require_digests: RequireDigests = False,
) -> None:
    """Write images and manifests of one KubeVirt and one Kubernetes release into a bundle, for use offline."""
    with reported():
        found = _lock(lock_file)
        images = _pulled(_chosen(found, kubevirt, kubernetes, parts or _USUAL))
        wanted = _manifests(found, kubevirt)
        if require_digests:
            found.require_resolved(images, wanted)
        bundle.save(directory, _engine(engine), images, Manifests(found, manifests), wanted, say)
    sys.stdout.write(f"{directory}\n")


@app.command()
def load(
    directory: Annotated[Path, typer.Argument(help="A bundle that `images save` wrote.")],
    cluster: Annotated[str, typer.Option(help="Name of a kind cluster to load into; without it, the engine.")] = "",
    engine: EngineOption = "",
) -> None:
    """Load a bundle into the container engine, or into the nodes of a kind cluster."""
    with reported():
        archive = bundle.archive_of(directory)
        chosen = _engine(engine)
        if not cluster:
            chosen.load(archive)
            return
        from conformance.cluster.kindcli import Kind

        lock_ = ImagesLock(directory / bundle.LOCK)
        Kind(cluster, chosen).load(archive, lock_.images, say)


@app.command()
def mirror(
    registry: Annotated[str, typer.Argument(help="HOST[:PORT][/PATH] of your registry.")],
    kubevirt: KubeVirt = "",
    kubernetes: Kubernetes = "",
    parts: Parts = None,
    engine: EngineOption = "",
    lock_file: LockFile = None,
    require_digests: RequireDigests = False,
) -> None:
    """Push the images to a registry of yours, under the paths where containerd's mirrors look for them."""
    with reported():
        found = _lock(lock_file)
        images = _pulled(_chosen(found, kubevirt, kubernetes, parts or _USUAL))
        if require_digests:
            found.require_resolved(images)
        for name in bundle.mirror(_engine(engine), images, registry, say):
            sys.stdout.write(f"{name}\n")


def _lock(path: Path | None) -> ImagesLock:
    return ImagesLock(path or fixtures_directory() / "images.lock")


def _engine(name: str) -> Engine:
    for known in ENGINES:
        if known == name:
            return Engine.choose(known)
    if name:
        raise typer.BadParameter(f"{name} is not one of {', '.join(ENGINES)}", param_hint="--engine")
    return Engine.choose()


def _chosen(
    lock_: ImagesLock, kubevirt: str, kubernetes: str, parts: tuple[Part, ...] | list[Part], *, newest: bool = True
) -> tuple[LockedImage, ...]:
    """The images of the parts; of one release each, the newest unless named, or of all where not ``newest``."""
    return lock_.needed(
        kubevirt=lock_.release(Part.KUBEVIRT, kubevirt) if kubevirt or newest else "",
        kubernetes=lock_.release(Part.NODE, kubernetes) if kubernetes or newest else "",
        parts=parts,
    )


def _pulled(images: tuple[LockedImage, ...]) -> tuple[LockedImage, ...]:
    """Without those that no registry has: a run builds them itself."""
    return tuple(image for image in images if not image.built)


def _manifests(lock_: ImagesLock, kubevirt: str) -> tuple[LockedManifest, ...]:
    release = lock_.release(Part.KUBEVIRT, kubevirt)
    return tuple(m for m in lock_.manifests if m.name != "kubevirt-operator" or m.version == release)


def _mapping(mirrors: list[str]) -> dict[str, str]:
    for word in mirrors:
        if "=" not in word:
            raise typer.BadParameter(f"{word}: write HOST=URL", param_hint="--registry-mirror")
    return dict(word.split("=", 1) for word in mirrors)
