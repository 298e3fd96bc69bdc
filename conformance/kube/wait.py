"""The only ways to wait: poll a probe, or follow one object by a watch; both end at a :class:`Deadline`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import tenacity

from conformance.kube.cluster import Cluster
from conformance.kube.errors import Expired, Forbidden, ImageMissing, OverQuota, Stopped, expired
from conformance.kube.manifest import Manifest, Ref, dig
from conformance.kube.timeouts import Deadline

T = TypeVar("T")

_WATCH_SECONDS = 30.0
_QUOTA = re.compile(r"(?:exceeded|failed) quota: .+")
"""How Kubernetes says that a ResourceQuota refuses a pod."""
NOT_PULLED = ("ErrImagePull", "ImagePullBackOff")
_MIGRATION_OVER_QUOTA = "migrationRejectedByResourceQuota"


@dataclass(frozen=True)
class _Saw(Generic[T]):
    value: T
    streak: int


def wait_until(
    describe: str,
    probe: Callable[[], T],
    deadline: Deadline,
    *,
    until: Callable[[T], bool] = bool,
    saw: Callable[[T], str] = repr,
    every: float = 0.5,
    ignore: tuple[type[Exception], ...] = (),
    successes: int = 1,
) -> T:
    """Call ``probe`` until ``until(value)`` held ``successes`` times in a row, and return the last value.

    ``describe`` says what is wanted, ``saw`` puts a value in words, ``every`` is the pause between two probes in
    seconds, errors of a type in ``ignore`` count as "not yet". Raises
    :class:`~conformance.kube.errors.BoundExceeded` or :class:`~conformance.kube.errors.PatienceExceeded`, by the kind
    of deadline; the probe is called at least once.
    """
    streak = 0

    def attempt() -> _Saw[T] | Exception:
        nonlocal streak
        try:
            value = probe()
        except ignore as error:
            streak = 0
            return error
        streak = streak + 1 if until(value) else 0
        return _Saw(value, streak)

    def unfinished(outcome: _Saw[T] | Exception) -> bool:
        return isinstance(outcome, Exception) or outcome.streak < successes

    outcome = tenacity.Retrying(
        retry=tenacity.retry_if_result(unfinished),
        wait=lambda _: deadline.remaining(at_most=every),
        stop=lambda _: deadline.expired(),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )(attempt)
    if isinstance(outcome, Exception):
        error = expired(describe, f"{type(outcome).__name__}: {outcome}", deadline.elapsed(), deadline.limit)
        raise error from outcome
    if unfinished(outcome):
        raise expired(describe, saw(outcome.value), deadline.elapsed(), deadline.limit)
    return outcome.value


def describe_object(manifest: Manifest | None) -> str:
    """One line about an object for the end of a wait: its phase, and what its conditions and containers say."""
    if manifest is None:
        return "no such object"
    words = [str(Ref.of(manifest)), f"phase {dig(manifest, 'status', 'phase', default='(none)')}"]
    for entry in dig(manifest, "status", "conditions", default=[]):
        if entry.get("status") != "True" or entry.get("type") in ("RestartRequired", "MigrationRequired"):
            text = " ".join(filter(None, (entry.get("reason"), entry.get("message"))))
            words.append(f"{entry.get('type')}={entry.get('status')} {text}".strip())
    for status in dig(manifest, "status", "containerStatuses", default=[]):
        if waiting := dig(status, "state", "waiting"):
            text = f"{waiting.get('reason', '')} {waiting.get('message', '')}".strip()
            words.append(f"container {status.get('name')} waits: {text}")
    if dig(manifest, "metadata", "deletionTimestamp"):
        words.append("being deleted")
    return "; ".join(words)


def wait_for(
    cluster: Cluster,
    ref: Ref,
    describe: str,
    predicate: Callable[[Manifest | None], bool],
    deadline: Deadline,
    *,
    stop_if: Callable[[Manifest | None], bool] | None = None,
    needs_pod: bool = True,
    saw: Callable[[Manifest | None], str] = describe_object,
) -> Manifest | None:
    """Follow one object until ``predicate(object)`` holds; the object is None while it does not exist.

    Looks the object up, then watches from that resourceVersion, so no state in between is missed. ``stop_if`` names the
    terminal states: the wait ends at once with :class:`~conformance.kube.errors.Stopped`. With a ``uid`` in ``ref`` a
    namesake made later counts as "does not exist". A pod that a quota refuses the object ends the wait with
    :class:`~conformance.kube.errors.OverQuota`, unless it ``needs_pod`` no more; a guest's disk that is not there when
    the time ends is :class:`~conformance.kube.errors.ImageMissing`. Returns the object that satisfied
    ``predicate``.
    """
    seen: Manifest | None = None
    while True:
        for seen in _states(cluster, ref, deadline):
            if predicate(seen):
                return seen
            if needs_pod and (refusal := quota_refusal(seen)) is not None:
                raise OverQuota(describe, saw(seen), deadline.elapsed(), f"no pod: {refusal}; gave up")
            if stop_if is not None and stop_if(seen):
                raise Stopped(describe, saw(seen), deadline.elapsed(), "reached a state that ends the wait")
        if deadline.expired():
            if (disk := missing_disk(seen)) is not None:
                raise ImageMissing(describe, saw(seen), deadline.elapsed(), f"no guest: {disk} is not pulled; gave up")
            raise expired(describe, saw(seen), deadline.elapsed(), deadline.limit)


def missing_disk(manifest: Manifest | None) -> str | None:
    """The image of a VMI's disk that cannot be pulled, by what its conditions say; None where there is none."""
    volumes = dig(manifest or {}, "spec", "volumes", default=[])
    images = [image for volume in volumes if (image := dig(volume, "containerDisk", "image"))]
    conditions = dig(manifest or {}, "status", "conditions", default=[])
    said = " ".join(c.get("message") or "" for c in conditions if c.get("reason") in NOT_PULLED)
    return next((image for image in images if f'"{image}"' in said), None)


def quota_refusal(manifest: Manifest | None) -> str | None:
    """The words of a ResourceQuota that refuses an object its pod, from the object's conditions; None without one.

    Ends a wait at once, whatever its deadline: a namespace without room says nothing about a binding.
    """
    for entry in dig(manifest or {}, "status", "conditions", default=[]):
        if entry.get("type") == _MIGRATION_OVER_QUOTA and entry.get("status") == "True":
            return "the namespace's quota has no room for a migration's second pod"
        found = _QUOTA.search(entry.get("message") or "") if entry.get("status") == "False" else None
        if found is not None:
            return found[0]
    return None


def wait_gone(cluster: Cluster, ref: Ref, deadline: Deadline) -> None:
    """Follow ``ref`` until it does not exist any more; who may list it and not watch it looks again and again."""
    gone = f"{ref} is gone"
    try:
        wait_for(cluster, ref, gone, lambda seen: seen is None, deadline, needs_pod=False)
    except Forbidden:
        wait_until(
            gone, lambda: _listed(cluster, ref)[0], deadline, until=lambda seen: seen is None, saw=describe_object
        )


def _listed(cluster: Cluster, ref: Ref) -> tuple[Manifest | None, str]:
    """The object as it is now, and the resourceVersion to watch from."""
    listing = cluster.list(ref.kind, ref.namespace, fields=f"metadata.name={ref.name}")
    return next((item for item in listing.items if _is(ref, item)), None), listing.resource_version


def _states(cluster: Cluster, ref: Ref, deadline: Deadline) -> Iterator[Manifest | None]:
    """The object as it is now, then as each event shows it, until the watch or the time ends."""
    found, version = _listed(cluster, ref)
    yield found
    if deadline.expired():
        return
    events = cluster.watch(
        ref.kind,
        ref.namespace,
        name=ref.name,
        resource_version=version,
        seconds=max(1.0, deadline.remaining(at_most=_WATCH_SECONDS)),
    )
    try:
        for event in events:
            if event.type != "BOOKMARK":
                yield event.object if event.type != "DELETED" and _is(ref, event.object) else None
            if deadline.expired():
                return
    except Expired:
        return


def _is(ref: Ref, manifest: Manifest) -> bool:
    return not ref.uid or dig(manifest, "metadata", "uid") == ref.uid
