"""Writes the bundle of a failing check under ``evidence/<requirement>/``. Never raises: what cannot be had is noted."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import yaml

from conformance.evidence.recorder import Evidence
from conformance.evidence.redaction import redact_object, redact_text
from conformance.guest.facts import GuestFacts
from conformance.guest.guest import Guest
from conformance.kube.cluster import Cluster
from conformance.kube.domain import domain_xml
from conformance.kube.events import events_in
from conformance.kube.lifecycle import launcher_pods
from conformance.kube.manifest import MIGRATION, VMI, Manifest, Ref, dig
from conformance.kube.pods import pod_logs
from conformance.kube.registry import find_kubevirt
from conformance.kube.vmi import VmiView

MISSING = "not-collected.txt"

logger = logging.getLogger(__name__)


class Bundle:
    """The evidence of one check; ``files`` are the paths written, relative to the report directory, with ``/``."""

    def __init__(self, cluster: Cluster, report_dir: Path, requirement: str, variant: str = "") -> None:
        self._cluster, self._report_dir = cluster, report_dir
        name = re.sub(r"[^\w.-]+", "-", variant).strip("-")
        self._directory = (
            report_dir / "evidence" / requirement / name if name else report_dir / "evidence" / requirement
        )
        self.files: list[str] = []
        self._missing: list[str] = []

    def collect(self, evidence: Evidence, failure: str) -> tuple[str, ...]:
        """Collect everything and return the paths. ``failure`` is the traceback, written first."""
        self._write("failure.txt", lambda: failure)
        for name, text in evidence.notes.items():
            self._write(name, partial(str, text))
        for guest in evidence.guests:
            self._guest(guest)
        namespaces = dict.fromkeys(ref.namespace for ref in evidence.refs if ref.namespace)
        for namespace in namespaces:
            self._write(f"timeline-{namespace}.txt", partial(self._timeline, namespace))
        for ref in evidence.refs:
            self._object(ref)
        self._write("kubevirt.yaml", lambda: _yaml(find_kubevirt(self._cluster)))
        if self._missing:
            self._write(MISSING, lambda: "\n".join(self._missing))
        return tuple(self.files)

    def _object(self, ref: Ref) -> None:
        self._write(f"{_name(ref)}.yaml", lambda: _yaml(self._cluster.get(ref)))
        if ref.kind != VMI:
            return
        pods: list[Manifest] = []

        def find_pods() -> str:
            view = VmiView.of(self._cluster.get(ref))
            pods.extend(launcher_pods(self._cluster, view))
            migrations = self._cluster.list(MIGRATION, ref.namespace).items
            return "---\n".join(_yaml(found) for found in (*pods, *migrations))

        self._write(f"{_name(ref)}-pods-and-migrations.yaml", find_pods)
        for pod in pods:
            self._pod(Ref.of(pod), [container["name"] for container in dig(pod, "spec", "containers", default=[])])

    def _pod(self, ref: Ref, containers: list[str]) -> None:
        for container in containers:
            self._write(
                f"{_name(ref)}-{container}.log",
                partial(pod_logs, self._cluster, ref.namespace, ref.name, container, tail=2000),
            )
        if "compute" in containers:
            self._write(f"{_name(ref)}-domain.xml", partial(domain_xml, self._cluster, ref))

    def _guest(self, guest: Guest) -> None:
        # facts first: asking for them adds to the console, and shows whether it still answers
        self._write(f"guest-{guest.name}-facts.yaml", lambda: _facts(guest.facts()))
        self._write(f"guest-{guest.name}-console.txt", guest.console.tail)

    def _timeline(self, namespace: str) -> str:
        """Events and condition changes of a namespace's VMIs and migrations, in order of time."""
        lines = [
            (event.last, f"{event.kind} {event.name}: {event.type} {event.reason} x{event.count} {event.message}")
            for event in events_in(self._cluster, namespace)
        ]
        for kind in (VMI, MIGRATION):
            for item in self._cluster.list(kind, namespace).items:
                lines += _transitions(item)
        return "\n".join(f"{when}  {what}" for when, what in sorted(lines))

    def _write(self, name: str, produce: Callable[[], str]) -> None:
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            path = self._directory / name
            path.write_text(redact_text(produce()) + "\n", encoding="utf-8")
            self.files.append(path.relative_to(self._report_dir).as_posix())
        except Exception as error:
            # whatever goes wrong here must not hide the failure the evidence is about
            logger.exception("evidence %s could not be collected", name)
            self._missing.append(f"{name}: {''.join(traceback.format_exception_only(error)).strip()}")


def _transitions(item: Manifest) -> list[tuple[str, str]]:
    ref = f"{item['kind']} {item['metadata']['name']}"
    found = [
        (str(entry["phaseTransitionTimestamp"]), f"{ref}: phase {entry['phase']}")
        for entry in dig(item, "status", "phaseTransitionTimestamps", default=[])
    ]
    for entry in dig(item, "status", "conditions", default=[]):
        when = entry.get("lastTransitionTime") or entry.get("lastProbeTime") or ""
        text = f"{entry.get('type')}={entry.get('status')} {entry.get('reason') or ''} {entry.get('message') or ''}"
        found.append((str(when), f"{ref}: {text.strip()}"))
    return found


def _facts(facts: GuestFacts) -> str:
    plain = {
        "hostname": facts.hostname,
        "uptime": facts.uptime,
        "boot_id": facts.boot_id,
        "nics": [{**vars(nic), "addresses": [str(a) for a in nic.addresses]} for nic in facts.nics],
        "routes": [vars(route) for route in facts.routes],
        "nameservers": list(facts.nameservers),
        "search": list(facts.search),
    }
    return str(yaml.safe_dump(plain, sort_keys=False))


def _yaml(manifest: Manifest) -> str:
    return str(yaml.safe_dump(redact_object(manifest), sort_keys=False, default_flow_style=False))


def _name(ref: Ref) -> str:
    return f"{ref.kind.kind.lower()}-{ref.name}"
