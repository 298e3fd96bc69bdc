"""List and watch, into the events that a recording holds."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

import urllib3.exceptions

from tests.fidelity.http import Api
from tests.fidelity.recording import ApiEvent, Object, dig, mapping, objects, text

log = logging.getLogger(__name__)

_KUBEVIRT = "/apis/kubevirt.io/v1/namespaces"
_READ_SECONDS = 20.0
_RETRY_SECONDS = 0.5
_PATHS = {
    "VirtualMachine": _KUBEVIRT + "/{namespace}/virtualmachines",
    "VirtualMachineInstance": _KUBEVIRT + "/{namespace}/virtualmachineinstances",
    "VirtualMachineInstanceMigration": _KUBEVIRT + "/{namespace}/virtualmachineinstancemigrations",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "Event": "/api/v1/namespaces/{namespace}/events",
    "KubeVirt": _KUBEVIRT + "/kubevirt/kubevirts",
}


class Recorder:
    """Records one namespace and the KubeVirt CR while it is entered. `seen()` are the events so far."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self._namespace = api, namespace
        self._begin = time.monotonic()
        self._changed = threading.Condition()
        self._events: list[ApiEvent] = []
        self._objects: dict[tuple[str, str], Object] = {}
        self._stop = threading.Event()
        self._listed = {kind: threading.Event() for kind in _PATHS}
        self._threads = [threading.Thread(target=self._record, args=(kind,), daemon=True) for kind in _PATHS]

    def __enter__(self) -> Recorder:
        for thread in self._threads:
            thread.start()
        if not all(listed.wait(30) for listed in self._listed.values()):
            self._stop.set()
            raise TimeoutError(f"cannot list {[kind for kind, listed in self._listed.items() if not listed.is_set()]}")
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()

    def seen(self) -> tuple[ApiEvent, ...]:
        """Every event so far, in the order of arrival."""
        with self._changed:
            return tuple(self._events)

    def get(self, kind: str, name: str) -> Object | None:
        """The object as it is now, None when there is none."""
        return self._objects.get((kind, name))

    def all(self, kind: str) -> list[Object]:
        """All objects of a kind as they are now, oldest name first seen."""
        return [state for (known, _), state in list(self._objects.items()) if known == kind]

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until `condition` holds, looked at after every event; whether it came in time."""
        with self._changed:
            return self._changed.wait_for(condition, timeout=seconds)

    def pause(self, seconds: float) -> None:
        """Go on recording for so long."""
        self._stop.wait(seconds)

    def _record(self, kind: str) -> None:
        while not self._stop.is_set():
            try:
                for event_type, state in self._stream(kind):
                    self._note(event_type, kind, state)
                    if self._stop.is_set():
                        return
            except (urllib3.exceptions.HTTPError, OSError) as error:
                log.debug("watch of %s ended: %s", kind, error)
                self._stop.wait(_RETRY_SECONDS)

    def _stream(self, kind: str) -> Iterator[tuple[str, Object]]:
        """One list, as ADDED of what is new and DELETED of what is gone, then one watch until it ends."""
        path = _PATHS[kind].format(namespace=self._namespace)
        listing = self._api.send("GET", path, accept="application/json").body
        names = {text(dig(item, "metadata", "name")) for item in objects(listing.get("items"))}
        for item in objects(listing.get("items")):
            yield "ADDED", item
        for known, name in [key for key in self._objects if key[0] == kind and key[1] not in names]:
            yield "DELETED", self._objects[known, name]
        self._listed[kind].set()
        version = text(dig(listing, "metadata", "resourceVersion"))
        for line in self._api.lines(f"{path}?watch=1&resourceVersion={version}", _READ_SECONDS):
            if line.get("type") == "ERROR":
                return
            if line.get("type") in ("ADDED", "MODIFIED", "DELETED"):
                yield text(line["type"]), mapping(line["object"])

    def _note(self, event_type: str, kind: str, state: Object) -> None:
        name = text(dig(state, "metadata", "name"))
        if kind == "KubeVirt" and name != "kubevirt":
            return
        state = _reduced(state) if kind == "Event" and "on" not in state else state
        with self._changed:
            if event_type != "DELETED" and self._objects.get((kind, name)) == state:
                return
            at = int((time.monotonic() - self._begin) * 1000)
            self._events.append(ApiEvent(at, event_type, kind, name, state))
            if event_type == "DELETED":
                self._objects.pop((kind, name), None)
            else:
                self._objects[kind, name] = state
            self._changed.notify_all()


def _reduced(event: Object) -> Object:
    """What the recordings keep of an Event."""
    about = mapping(event.get("involvedObject"))
    kept: Object = {
        key: event[key] for key in ("type", "reason", "message", "count", "source", "action") if key in event
    }
    reporter = event.get("reportingComponent") or event.get("reportingController") or ""
    on: Object = {key: about[key] for key in ("kind", "name", "fieldPath") if key in about}
    return {**kept, "reportingComponent": reporter, "on": on, "name": dig(event, "metadata", "name")}
