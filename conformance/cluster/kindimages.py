"""Where the images of a kind cluster come from: whether the registries answer, and what the lock has no digest of."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.cluster.kindconfig import KindOptions
from conformance.host.finding import Finding
from conformance.images.lock import RESOLVE, ImagesLock, Part
from conformance.images.registry import Registries, RegistryError

_SECONDS = 5.0
_SHOWN = 3


def image_sources(options: KindOptions, lock: ImagesLock, registries: Registries | None = None) -> list[Finding]:
    """One finding a registry, and one about digests. Asks the registries, or their mirrors, from this machine."""
    return [*_registries(options, lock, registries), _digests(options, lock)]


def _registries(options: KindOptions, lock: ImagesLock, registries: Registries | None) -> Iterator[Finding]:
    if options.bundle:
        yield Finding("registries", True, f"none is needed: the images come from {options.bundle}")
        return
    asked = registries or Registries(options.mirrors, seconds=_SECONDS)
    hosts = sorted({image.name.partition("/")[0] for image in lock.images if _used(image.part) and not image.built})
    for host in hosts:
        try:
            url = asked.answering(host)
        except RegistryError as error:
            fix = (
                f"give --kind mirror={host}=URL of a registry that has its images, or --kind bundle=DIR, made by "
                "`binding-conformance images save DIR` where it can be reached"
            )
            # the container engine may have a proxy that this process does not know
            yield Finding(f"registry {host}", False, str(error), fix, required=False)
        else:
            yield Finding(f"registry {host}", True, f"{url} answers")


def _digests(options: KindOptions, lock: ImagesLock) -> Finding:
    names = [image.name for image in lock.images if _used(image.part) and not image.resolved and not image.built]
    if not names:
        return Finding("digests", True, "the lock has one of every image")
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    detail = f"none is known of {', '.join(names[:_SHOWN])}{more}: they are taken as served today, unchecked"
    return Finding("digests", False, detail, RESOLVE, required=options.require_digests)


def _used(part: Part) -> bool:
    return part is not Part.UPSTREAM
