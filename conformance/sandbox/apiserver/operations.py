"""Create, update, apply and delete: the rules that every write obeys, whoever sends it.

The order is Kubernetes' own: decode, defaults, schema, admission, quota, preconditions, ownership, store.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from conformance.sandbox.apiserver.accounts import admit_account
from conformance.sandbox.apiserver.admission import AdmissionDenied, AdmissionHook, AdmissionRequest, Operation
from conformance.sandbox.apiserver.apply import apply_configuration
from conformance.sandbox.apiserver.crds import CrdRules
from conformance.sandbox.apiserver.errors import Cause, KubeObject, StatusError, bad_request
from conformance.sandbox.apiserver.kinds import CRDS, NAMESPACES, PLAIN, PODS, KindRules, built_in_rules
from conformance.sandbox.apiserver.metadata import decode_metadata, metadata_causes, now, timestamp
from conformance.sandbox.apiserver.options import FOREGROUND, INTERNAL, DeleteOptions, WriteOptions, private_copy
from conformance.sandbox.apiserver.ownership import Manager, flatten, managers_of, record, take_over
from conformance.sandbox.apiserver.patch import merge_patch
from conformance.sandbox.apiserver.quotas import admit_pod
from conformance.sandbox.apiserver.resources import Registry, Resource, ResourceKey
from conformance.sandbox.apiserver.store import Store
from conformance.sandbox.apiserver.strictness import report_unknown

_SERVER_OWNED = (
    *("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"),
    *("namespace", "name", "generateName", "resourceVersion", "managedFields", "selfLink"),
)
_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


class Operations:
    """The writes. Reads go to the store directly."""

    def __init__(self, store: Store, registry: Registry, hook: AdmissionHook) -> None:
        self.store = store
        self.registry = registry
        self._hook = hook
        self._kinds: dict[ResourceKey, KindRules] = {**built_in_rules(), CRDS: CrdRules()}
        self.orphan: Callable[[KubeObject], None] = lambda owner: None
        """Called before an owner is deleted with propagation Orphan (set by the garbage collector)."""

    # ------------------------------------------------------------------------------------------ create

    def create(
        self,
        resource: Resource,
        namespace: str,
        body: KubeObject,
        options: WriteOptions,
        applier: Manager | None = None,
    ) -> KubeObject:
        """Store a new object; `body` is consumed. With `applier` the creation is an apply."""
        obj = {
            "apiVersion": resource.storage_api_version,
            "kind": resource.kind,
            **_without(body, "apiVersion", "kind"),
        }
        metadata = decode_metadata(obj, resource.kind, resource.version)
        self._place(resource, namespace, metadata)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = self._generated_name(resource, namespace, metadata["generateName"])
        for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion", "managedFields"):
            metadata.pop(key, None)
        metadata.update(uid=str(uuid.uuid4()), creationTimestamp=now())
        if resource.counts_generations:
            metadata["generation"] = 1
        else:
            metadata.pop("generation", None)
        if resource.status_isolated:
            obj.pop("status", None)
        self._check(resource, obj, None, options)
        self._prepare(resource, obj, None)
        if resource.key == PODS:
            admit_account(self.store, resource, obj)
        obj = self._admit("CREATE", resource, obj, None, options)
        if resource.key == PODS:
            admit_pod(self.store, resource, obj)
        name = obj["metadata"]["name"]
        if self.store.get(resource.key, namespace, name):
            raise resource.already_exists(name)
        self._own_new(resource, obj, options, applier)
        return obj if options.dry_run else self.store.put(resource.key, obj)

    def _place(self, resource: Resource, namespace: str, metadata: dict[str, Any]) -> None:
        """Settle the namespace of a new object."""
        if not resource.namespaced:
            metadata.pop("namespace", None)
            return
        if metadata.get("namespace", namespace) != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        metadata["namespace"] = namespace
        found = self.store.get(NAMESPACES, "", namespace)
        if found is None:
            message = f'namespaces "{namespace}" not found'
            raise StatusError(404, "NotFound", message, name=namespace, kind="namespaces")
        if found["metadata"].get("deletionTimestamp"):
            text = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = Cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace")
            raise resource.forbidden(metadata.get("name") or "", text, [cause])

    def _generated_name(self, resource: Resource, namespace: str, prefix: str) -> str:
        for _ in range(8):
            name = prefix[:248] + "".join(random.choices(_NAME_LETTERS, k=5))
            if self.store.get(resource.key, namespace, name) is None:
                return name
        raise resource.already_exists(prefix)

    def _own_new(self, resource: Resource, obj: KubeObject, options: WriteOptions, applier: Manager | None) -> None:
        if applier:
            record(obj, [applier])
        else:
            paths = frozenset(flatten(obj, resource.fields))
            record(obj, [Manager(options.manager, "Update", "", resource.api_version, paths)])

    # ------------------------------------------------------------------------------------------ update

    def update(
        self,
        resource: Resource,
        old: KubeObject,
        body: KubeObject,
        options: WriteOptions,
        managers: Iterable[Manager] | None = None,
    ) -> KubeObject:
        """Replace a stored object; `body` is consumed. With `managers` ownership is settled already (apply)."""
        metadata = decode_metadata(body, resource.kind, resource.version)
        self._check_preconditions(resource, old, metadata)
        new = self._merge_parts(resource, old, body, options.subresource)
        _keep_server_owned(new["metadata"], old["metadata"])
        self._check(resource, new, old, options)
        self._prepare(resource, new, old)
        new = self._admit("UPDATE", resource, new, old, options)
        _keep_server_owned(new["metadata"], old["metadata"])
        if resource.counts_generations and _content(new, resource) != _content(old, resource):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        if managers is None:
            self._own_changed(resource, old, new, options)
        else:
            record(new, managers)
        if _same(new, old):
            return old
        if options.dry_run:
            return new
        if _may_go(new):
            return self.store.remove(resource.key, new)
        return self.store.put(resource.key, new)

    def _check_preconditions(self, resource: Resource, old: KubeObject, metadata: dict[str, Any]) -> None:
        stored = old["metadata"]
        name = stored["name"]
        if metadata.get("name", name) != name:
            raise bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            )
        if metadata.get("namespace", stored.get("namespace")) != stored.get("namespace"):
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        uid = metadata.get("uid") or stored["uid"]
        if uid != stored["uid"]:
            text = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {stored['uid']}"
            raise resource.conflict(name, text)
        if metadata.get("resourceVersion") not in (None, "", stored["resourceVersion"]):
            raise resource.conflict(name, _MODIFIED)

    def _merge_parts(self, resource: Resource, old: KubeObject, body: KubeObject, subresource: str) -> KubeObject:
        """The object after a write of one part of it: status alone, or everything but an isolated status."""
        envelope = {"apiVersion": resource.storage_api_version, "kind": resource.kind}
        if subresource == "status":
            kept = private_copy(_without(old, "status"))
            return {**kept, **envelope, **({"status": body["status"]} if "status" in body else {})}
        if resource.key == NAMESPACES and subresource != "finalize":
            body["spec"] = old["spec"]  # its finalizers belong to the namespace controller
        if resource.status_isolated:
            status = {"status": private_copy(old["status"])} if "status" in old else {}
            return {**envelope, **_without(body, "apiVersion", "kind", "status"), **status}
        return {**envelope, **_without(body, "apiVersion", "kind")}

    def _own_changed(self, resource: Resource, old: KubeObject, new: KubeObject, options: WriteOptions) -> None:
        before, after = flatten(old, resource.fields), flatten(new, resource.fields)
        changed = {path for path, value in after.items() if path not in before or before[path] != value}
        gone = before.keys() - after.keys()
        writer = Manager(options.manager, "Update", options.subresource, resource.api_version, frozenset())
        record(new, take_over(managers_of(old), writer, changed, gone))

    # ------------------------------------------------------------------------------------------ apply

    def apply(
        self, resource: Resource, namespace: str, name: str, body: KubeObject, options: WriteOptions, *, force: bool
    ) -> tuple[KubeObject, bool]:
        """Server-side apply; returns the object and whether it is new."""
        metadata = decode_metadata(body, resource.kind, resource.version)
        if metadata.setdefault("name", name) != name:
            raise bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            )
        if metadata.get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        applier = Manager(options.manager, "Apply", options.subresource, resource.api_version, frozenset())
        live = self.store.get(resource.key, namespace, name)
        if live is None:
            if options.subresource:
                raise resource.not_found(name)
            paths = frozenset(flatten(body, resource.fields))
            owner = Manager(options.manager, "Apply", "", resource.api_version, paths)
            return self.create(resource, namespace, body, options, owner), True
        merged, managers = apply_configuration(live, body, resource.fields, applier, force=force)
        merged["metadata"]["resourceVersion"] = metadata.get("resourceVersion") or live["metadata"]["resourceVersion"]
        return self.update(resource, live, merged, options, managers), False

    # ------------------------------------------------------------------------------------------ delete

    def delete(
        self, resource: Resource, obj: KubeObject, wanted: DeleteOptions, options: WriteOptions
    ) -> tuple[KubeObject, bool]:
        """Delete an object, or mark it where something has to happen first.

        Returns the object and whether it is gone.
        """
        metadata = obj["metadata"]
        for label, precondition, actual in (
            ("UID", wanted.uid, metadata["uid"]),
            ("ResourceVersion", wanted.resource_version, metadata["resourceVersion"]),
        ):
            if precondition and precondition != actual:
                text = f"Precondition failed: {label} in precondition: {precondition}, {label} in object meta: {actual}"
                raise resource.conflict(metadata["name"], text)
        self._admit("DELETE", resource, None, obj, options)
        if options.dry_run:
            return obj, False
        if wanted.propagation == "Orphan":
            self.orphan(obj)
        marked = self._marked(resource, obj, wanted)
        if _may_go(marked):
            return self.store.remove(resource.key, marked), True
        return (obj if _same(marked, obj) else self.store.put(resource.key, marked)), False

    def _marked(self, resource: Resource, obj: KubeObject, wanted: DeleteOptions) -> KubeObject:
        """The object with its deletion recorded; a later, shorter grace period shortens an earlier one."""
        marked = private_copy(obj)
        metadata = marked["metadata"]
        grace = self._rules(resource.key).grace_seconds(obj, wanted.grace_seconds)
        running = metadata.get("deletionGracePeriodSeconds")
        if wanted.propagation == "Foreground" and FOREGROUND not in metadata.get("finalizers", []):
            metadata["finalizers"] = [*metadata.get("finalizers", []), FOREGROUND]
        if running is None or grace < running:
            since = _parse(metadata.get("deletionTimestamp"), running or 0)
            metadata["deletionTimestamp"] = timestamp(since + timedelta(seconds=grace))
            metadata["deletionGracePeriodSeconds"] = grace
            if running is None and resource.counts_generations:
                metadata["generation"] = metadata.get("generation", 0) + 1
        if resource.key == NAMESPACES:
            marked["status"] = {**(marked.get("status") or {}), "phase": "Terminating"}
        return marked

    # ------------------------------------------------------------------------------------------ checks

    def _check(self, resource: Resource, obj: KubeObject, old: KubeObject | None, options: WriteOptions) -> None:
        """Prune, default and validate, in place."""
        name = obj["metadata"].get("name") or ""
        unknown = resource.schema.prune(obj)
        if unknown and options.validation != "Ignore":
            report_unknown(resource, obj, unknown, options)
        causes = metadata_causes(obj["metadata"], old and old["metadata"], resource.name_rule)
        found = resource.schema.causes(obj)
        if resource.builtin and (wrong := next((c for c in found if c.reason == "FieldValueTypeInvalid"), None)):
            text = wrong.message.partition(" in body ")[2].partition(":")[0]
            kind = resource.kind
            raise bad_request(
                f'{kind} in version "{resource.version}" cannot be handled as a {kind}: json: cannot unmarshal into Go '
                f"struct field {kind}.{wrong.field}: {text}"
            )
        causes += found
        if not causes:
            causes += self._rules(resource.key).causes(obj, old)
        if causes:
            raise resource.invalid(name, causes)

    def _prepare(self, resource: Resource, obj: KubeObject, old: KubeObject | None) -> None:
        """Fill in what needs code, in place. What the schema keeps unseen may be of any type: that is a 400."""
        try:
            self._rules(resource.key).prepare(obj, old)
        except (TypeError, AttributeError, KeyError, ValueError) as error:
            kind = resource.kind
            text = f'{kind} in version "{resource.version}" cannot be handled as a {kind}: {error}'
            raise bad_request(text) from error

    def _admit(
        self,
        operation: Operation,
        resource: Resource,
        obj: KubeObject | None,
        old: KubeObject | None,
        options: WriteOptions,
    ) -> KubeObject:
        """Let the hook see a write; the object to store, valid again after what the hook changed."""
        if not options.admit:
            return obj or {}
        metadata = (obj or old or {})["metadata"]
        request = AdmissionRequest(
            operation=operation,
            group=resource.group,
            version=resource.version,
            resource=resource.plural,
            subresource=options.subresource,
            namespace=metadata.get("namespace", ""),
            name=metadata.get("name", ""),
            object=None if obj is None else resource.present(obj),
            old_object=None if old is None else resource.present(old),
            dry_run=options.dry_run,
            user=options.user,
            lookup=self.lookup,
            warnings=options.warnings,
            amend=self.amend,
        )
        admitted = self.review(request)
        if obj is None:
            return {}
        if admitted is None:
            raise StatusError(
                500, "InternalError", "Internal error occurred: the admission function returned no object"
            )
        admitted["apiVersion"] = resource.storage_api_version
        self._check(resource, admitted, old, WriteOptions(validation="Ignore"))
        return admitted

    def review(self, request: AdmissionRequest) -> KubeObject | None:
        """Call the admission function; its refusal becomes the API's answer."""
        try:
            return self._hook(request)
        except AdmissionDenied as denied:
            raise denied.as_status() from denied

    def _rules(self, key: ResourceKey) -> KindRules:
        return self._kinds.get(key, PLAIN)

    def lookup(self, group: str, plural: str, namespace: str, name: str) -> KubeObject | None:
        """The stored object or None."""
        return self.store.get((group, plural), namespace, name)

    def amend(self, group: str, plural: str, namespace: str, name: str, patch: KubeObject) -> None:
        """Merge a patch into a stored object in the name of an admission webhook. An absent object is left alone."""
        resource, stored = self.registry.by_key((group, plural)), self.lookup(group, plural, namespace, name)
        if resource is not None and stored is not None:
            changed = merge_patch(private_copy(stored), patch)
            self.update(resource, stored, changed, INTERNAL)


def _without(obj: Mapping[str, Any], *keys: str) -> KubeObject:
    return {key: value for key, value in obj.items() if key not in keys}


def _keep_server_owned(metadata: dict[str, Any], stored: dict[str, Any]) -> None:
    for key in _SERVER_OWNED:
        if key in stored:
            metadata[key] = stored[key]
        else:
            metadata.pop(key, None)


def _content(obj: KubeObject, resource: Resource) -> KubeObject:
    """What counts for `generation`."""
    return _without(obj, "apiVersion", "metadata", *(("status",) if resource.status_isolated else ()))


def _same(new: KubeObject, old: KubeObject) -> bool:
    return _comparable(new) == _comparable(old)


def _comparable(obj: KubeObject) -> KubeObject:
    metadata = _without(obj["metadata"], "resourceVersion", "managedFields")
    entries = [_without(entry, "time") for entry in obj["metadata"].get("managedFields") or []]
    return {**obj, "metadata": metadata, "managers": entries}


def _may_go(obj: KubeObject) -> bool:
    """Whether a deletion that was asked for has nothing left to wait for."""
    metadata = obj["metadata"]
    waiting = metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds")
    namespace_waits = obj["kind"] == "Namespace" and (obj.get("spec") or {}).get("finalizers")
    return bool(metadata.get("deletionTimestamp")) and not waiting and not namespace_waits


def _parse(deletion: str | None, grace: int) -> datetime:
    """When a deletion was first asked for."""
    if not deletion:
        return datetime.now(UTC)
    return datetime.strptime(deletion, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) - timedelta(seconds=grace)
