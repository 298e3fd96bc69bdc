"""What the code of checks asks an API server for, read from its text: verb and resource of each call on a cluster.

The object of a call is followed to a kind within its module: a constant (`POD`), a reference (`POD.ref(...)`), a name
that was assigned from one, or a function that makes one. Objects that come from another module are passed over.
Requests to a path of their own (`raw`, websockets) are read from the path.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.kube import manifest
from conformance.kube.manifest import Kind

_KINDS: Final = {name: value for name, value in vars(manifest).items() if isinstance(value, Kind)}
_HYPHENATED: Final = {manifest.NAD: "network-attachment-definitions"}
_METHODS: Final[Mapping[str, tuple[str, ...]]] = {
    "get": ("get",),
    "find": ("get",),
    "list": ("list",),
    "watch": ("watch",),
    "create": ("create",),
    "patch": ("patch",),
    "apply": ("patch",),
    "delete": ("delete",),
}
_WAITS: Final[Mapping[str, tuple[str, ...]]] = {"wait_for": ("list", "watch"), "wait_gone": ("list",)}
_CLUSTER: Final = re.compile(r"(^|[._])(cluster|runner|registrar|observer)$")
_HTTP: Final = {"get": "get", "put": "update", "post": "create", "patch": "patch", "delete": "delete"}
_PATH: Final = re.compile(
    r"/apis?/(?:(?P<group>[^/{}]+\.[^/{}]+)/)?v1/namespaces/{}/(?P<kind>[^/]+)/{}/(?P<sub>[^/?]+)"
)


@dataclass(frozen=True)
class Resource:
    """Group and plural (``pods/exec`` with its subresource); ``*`` for a part that only running tells."""

    group: str
    name: str

    @classmethod
    def of(cls, kind: Kind) -> Resource:
        plural = _HYPHENATED.get(kind) or re.sub("y$", "ie", kind.kind.lower()) + "s"
        return cls(kind.api_version.rpartition("/")[0], plural)

    def __str__(self) -> str:
        return f"{self.name}.{self.group}" if self.group else self.name


@dataclass(frozen=True)
class Asked:
    """One verb on one resource, ``everywhere`` or in a namespace, and the line that asks."""

    verb: str
    resource: Resource
    everywhere: bool
    line: str

    def __str__(self) -> str:
        return f"{self.line}: {self.verb} {self.resource}{' cluster-wide' if self.everywhere else ''}"


class Module:
    """One file of checks, of fixtures, or of what they are made of."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self._tree = path, ast.parse(text)
        self._outer = {child: node for node in ast.walk(self._tree) for child in ast.iter_child_nodes(node)}

    @classmethod
    def read(cls, root: Path, path: Path) -> Module:
        return cls(str(path.relative_to(root)), path.read_text(encoding="utf-8"))

    def asked(self) -> Iterator[Asked]:
        """What every call on a cluster asks for, and every wait for an object."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call):
                yield from self._asked_by(node)

    def _asked_by(self, call: ast.Call) -> Iterator[Asked]:
        line, function = f"{self.path}:{call.lineno}", call.func
        if isinstance(function, ast.Name) and function.id in _WAITS:
            yield from self._of_object(call.args[1], _WAITS[function.id], False, line)
        elif isinstance(function, ast.Name) and function.id == "open_websocket":
            yield self._of_path("get", call.args[1], line)
        elif isinstance(function, ast.Attribute) and _CLUSTER.search(ast.unparse(function.value)):
            if function.attr == "evict":
                yield Asked("create", Resource("", "pods/eviction"), False, line)
            elif function.attr == "raw":
                yield self._of_path(ast.literal_eval(call.args[0]), call.args[1], line)
            elif verbs := _METHODS.get(function.attr):
                everywhere = function.attr in ("list", "watch") and len(call.args) == 1
                yield from self._of_object(call.args[0], verbs, everywhere, line)

    def _of_object(self, of: ast.expr, verbs: tuple[str, ...], everywhere: bool, line: str) -> Iterator[Asked]:
        for kind in self._kinds(of, frozenset()):
            yield from (Asked(verb, Resource.of(kind), everywhere, line) for verb in verbs)

    def _kinds(self, node: ast.AST, seen: frozenset[str]) -> set[Kind]:
        """The kinds that an expression names, or that the names in it come from."""
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        if found := {_KINDS[name] for name in names & _KINDS.keys()}:
            return found
        called = {_last(part.func) for part in ast.walk(node) if isinstance(part, ast.Call)}
        sources = [(name, value) for name in names - seen for value in self._assigned(name, node)]
        sources += [(name, made) for name in called - seen for made in self._returned(name)]
        return {kind for name, source in sources for kind in self._kinds(source, seen | {name})}

    def _assigned(self, name: str, used: ast.AST) -> Iterator[ast.expr]:
        """What a name is assigned from, or a list of that name is filled with, in the function that uses it."""
        scope = used
        while not isinstance(scope, ast.FunctionDef | ast.Module):
            scope = self._outer[scope]
        for part in ast.walk(scope):
            if isinstance(part, ast.Assign):
                yield from (part.value for target in part.targets if _binds(target, name))
            elif isinstance(part, ast.NamedExpr) and _binds(part.target, name):
                yield part.value
            elif isinstance(part, ast.For | ast.comprehension) and _binds(part.target, name):
                yield part.iter
            elif isinstance(part, ast.Call) and ast.unparse(part.func) == f"{name}.append":
                yield part.args[0]

    def _returned(self, name: str) -> Iterator[ast.expr]:
        """What a function of this module returns."""
        for function in ast.walk(self._tree):
            if isinstance(function, ast.FunctionDef) and function.name == name:
                yield from (
                    part.value for part in ast.walk(function) if isinstance(part, ast.Return) and part.value is not None
                )

    def _of_path(self, method: str, path: ast.expr, line: str) -> Asked:
        written = self._written(path)
        found = _PATH.match(written)
        assert found is not None, f"{line}: {written} is no subresource of a namespaced object"
        group, kind, subresource = found["group"] or "", found["kind"], found["sub"]
        name = "/".join(part.replace("{}", "*") for part in (kind, subresource))
        return Asked(_HTTP[method.lower()], Resource(group, name), False, line)

    def _written(self, path: ast.expr) -> str:
        """The text of an f-string: constants of the module filled in, what else is inserted as ``{}``."""
        assert isinstance(path, ast.JoinedStr), ast.unparse(path)
        return "".join(self._piece(part) for part in path.values)

    def _piece(self, part: ast.expr) -> str:
        if isinstance(part, ast.Constant):
            return str(part.value)
        assert isinstance(part, ast.FormattedValue)
        inserted = part.value
        values = list(self._assigned(inserted.id, self._tree)) if isinstance(inserted, ast.Name) else []
        constant = values[0].value if len(values) == 1 and isinstance(values[0], ast.Constant) else "{}"
        return str(constant)


def _binds(target: ast.expr, name: str) -> bool:
    return any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(target))


def _last(function: ast.expr) -> str:
    return ast.unparse(function).rpartition(".")[2]
