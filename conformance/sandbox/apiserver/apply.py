"""Server-side apply: merge an applied configuration into the live object and settle who owns what.

Source: Kubernetes documentation, "Server-Side Apply".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import orjson

from conformance.sandbox.apiserver.errors import Cause, KubeObject, StatusError
from conformance.sandbox.apiserver.metadata import now
from conformance.sandbox.apiserver.ownership import (
    Fields,
    Manager,
    Path,
    flatten,
    key_element,
    managers_of,
)
from conformance.sandbox.apiserver.schema import RawSchema, child, is_atomic, is_set, items, list_keys


def apply_configuration(
    live: KubeObject, applied: KubeObject, schema: RawSchema, applier: Manager, *, force: bool
) -> tuple[KubeObject, list[Manager]]:
    """The object and its managers after `applier` applied a configuration. `applier.paths` is not looked at.

    Fields that the applier owned alone and no longer applies are removed. Raises StatusError 409 with a cause for
    every field that another manager owns with another value, unless forced.
    """
    wanted, present = flatten(applied, schema), flatten(live, schema)
    others, earlier = _split(managers_of(live), applier)
    merged = orjson.loads(orjson.dumps(_merge(live, applied, schema)))
    conflicts = _conflicts(wanted, present, flatten(merged, schema), others)
    if conflicts and not force:
        raise _conflict_error(conflicts)
    taken = {path for _, path in conflicts}
    others = [manager.without(taken) for manager in others]
    kept = {*wanted, *(path for manager in others for path in manager.paths)}
    _remove_dropped(merged, earlier - wanted.keys(), kept, schema)
    return merged, [*others, _applied(applier, frozenset(wanted), earlier, managers_of(live))]


def _split(managers: list[Manager], applier: Manager) -> tuple[list[Manager], frozenset[Path]]:
    others = [manager for manager in managers if manager.identity != applier.identity]
    own = [manager.paths for manager in managers if manager.identity == applier.identity]
    return others, own[0] if own else frozenset()


def _applied(applier: Manager, paths: frozenset[Path], earlier: frozenset[Path], managers: list[Manager]) -> Manager:
    """The applier's entry; its time is kept when it owns what it owned."""
    before = next((m.time for m in managers if m.identity == applier.identity), "")
    time = before if before and paths == earlier else now()
    return Manager(applier.name, "Apply", applier.subresource, applier.api_version, paths, time)


def _conflicts(
    wanted: Fields, present: Fields, merged: Fields, others: Iterable[Manager]
) -> list[tuple[Manager, Path]]:
    """What others own and the merge changes. An empty map that is applied changes nothing of the live one."""
    return [
        (manager, path)
        for manager in others
        for path in sorted(manager.paths & wanted.keys())
        if merged.get(path) != present.get(path)
    ]


def _conflict_error(conflicts: list[tuple[Manager, Path]]) -> StatusError:
    causes = [Cause("FieldManagerConflict", f"conflict with {_described(m)}", _dotted(path)) for m, path in conflicts]
    if len(causes) == 1:
        message = f"Apply failed with 1 conflict: {causes[0].message}: {causes[0].field}"
    else:
        by_manager: dict[str, list[str]] = defaultdict(list)
        for cause in causes:
            by_manager[cause.message].append(f"- {cause.field}")
        listed = "\n".join(f"{text}:\n" + "\n".join(paths) for text, paths in by_manager.items())
        message = f"Apply failed with {len(causes)} conflicts: {listed}"
    return StatusError(409, "Conflict", message, causes=causes)


def _described(manager: Manager) -> str:
    text = f'"{manager.name}"'
    if manager.subresource:
        text += f' with subresource "{manager.subresource}"'
    return text if manager.operation == "Apply" else f"{text} using {manager.api_version}"


def _dotted(path: Path) -> str:
    return "".join(f".{part[2:]}" if part.startswith("f:") else f"[{part[2:].strip('{}')}]" for part in path)


# ---------------------------------------------------------------------------------------------- merging


def _merge(live: object, applied: object, schema: RawSchema) -> Any:
    if isinstance(applied, dict) and isinstance(live, dict) and not is_atomic(schema):
        merged = dict(live)
        for key, value in applied.items():
            merged[key] = _merge(live.get(key), value, child(schema, key))
        return merged
    if isinstance(applied, list) and isinstance(live, list):
        if is_set(schema):
            return [*live, *(value for value in applied if value not in live)]
        if keys := list_keys(schema):
            return _merge_items(live, applied, keys, items(schema))
    return applied


def _merge_items(live: list[Any], applied: list[Any], keys: tuple[str, ...], schema: RawSchema) -> list[Any]:
    merged = list(live)
    at = {key_element(item, keys): index for index, item in enumerate(merged) if isinstance(item, dict)}
    for item in applied:
        index = at.get(key_element(item, keys)) if isinstance(item, dict) else None
        if index is None:
            merged.append(item)
        else:
            merged[index] = _merge(merged[index], item, schema)
    return merged


def _remove_dropped(merged: KubeObject, dropped: frozenset[Path], kept: set[Path], schema: RawSchema) -> None:
    """Remove paths that nobody owns any more. A list item goes as a whole, unless somebody owns part of it."""
    owned = {path[:length] for path in kept for length in range(1, len(path) + 1)}
    for path in sorted(dropped, key=len):
        if path not in owned and not _identifies_item(path):
            _remove(merged, path, owned, schema)


def _identifies_item(path: Path) -> bool:
    """Whether a path is one of the keys of a list item, which cannot go while the item stays."""
    return len(path) > 1 and path[-2].startswith("k:") and path[-1][2:] in orjson.loads(path[-2][2:])


def _remove(node: Any, path: Path, owned: set[Path], schema: RawSchema) -> None:
    """Remove one path where it exists, and the containers that this empties as far as nobody owns them.

    A top-level field (`spec`) stays, even empty.
    """
    trail: list[tuple[Any, Any]] = []
    for element in path:
        index = _index(node, element, schema)
        if index is None:
            return
        trail.append((node, index))
        schema = child(schema, element[2:]) if element.startswith("f:") else items(schema)
        node = node[index]
    for depth in range(len(path), 1, -1):
        container, index = trail[depth - 1]
        if depth < len(path) and (container[index] or path[:depth] in owned):
            return
        del container[index]


def _index(node: object, element: str, schema: RawSchema) -> str | int | None:
    """Where an element is in a map or list, or None."""
    if isinstance(node, dict) and element.startswith("f:"):
        return element[2:] if element[2:] in node else None
    if isinstance(node, list) and element.startswith("k:"):
        keys = list_keys(schema)
        found = (i for i, item in enumerate(node) if isinstance(item, dict) and key_element(item, keys) == element)
        return next(found, None)
    if isinstance(node, list) and element.startswith("v:"):
        value = orjson.loads(element[2:])
        return node.index(value) if value in node else None
    return None
