"""Reads YAML files into JSON values, with the line of every field, and without YAML's traps.

Dates stay text, duplicate keys and keys that are no strings are problems, recursive documents are refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import yaml

from conformance.model.definition.findings import FieldPath, Findings
from conformance.model.jsonvalue import JsonObject, JsonValue

_MAX_NODES = 200_000
"""Values in one document after aliases are expanded; far beyond any manifest, far below what hurts."""


class _Loader(yaml.SafeLoader):
    """The safe loader without the resolver that turns ``2026-01-01`` into a date."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Document:
    """One document of a file: its value, and the collector of its problems, which knows the lines."""

    data: JsonValue
    findings: Findings


def read_documents(path: Path) -> list[Document]:
    """Read every document of a file. A file that cannot be read or parsed gives one document with that problem.

    Empty documents (nothing between two ``---``) are left out.
    """
    findings = Findings(path)
    text = _read_text(path, findings)
    if text is None:
        return [Document(None, findings)]
    loader = _Loader(text)
    documents = []
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                break
            document = _Converter(path, loader).document(node)
            if document.data is not None or document.findings.problems:
                documents.append(document)
    except yaml.YAMLError as error:
        _note_yaml_error(findings, error)
        return [Document(None, findings)]
    finally:
        loader.dispose()
    return documents


def read_document(path: Path) -> Document:
    """Read a file that must hold exactly one document."""
    documents = read_documents(path)
    if len(documents) == 1:
        return documents[0]
    findings = Findings(path)
    count = len(documents) or "no"
    findings.error((), f"the file holds {count} YAML documents", "write exactly one document in this file")
    return Document(None, findings)


def _read_text(path: Path, findings: Findings) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        findings.error((), "the file does not exist", "create it or correct the path")
    except IsADirectoryError:
        findings.error((), "this is a directory", "name a YAML file")
    except UnicodeDecodeError:
        findings.error((), "the file is not UTF-8 text", "save it as UTF-8")
    except OSError as error:
        findings.error((), f"the file cannot be read: {error.strerror}", "make it readable")
    return None


def _note_yaml_error(findings: Findings, error: yaml.YAMLError) -> None:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    where = Findings(findings.file, {(): mark.line + 1} if mark is not None else {})
    where.error((), f"the file is not YAML: {what}", "correct the YAML at this line")
    findings.problems.extend(where.problems)


class _Converter:
    """Turns one parsed document into JSON values, noting lines and what JSON cannot hold."""

    def __init__(self, path: Path, loader: _Loader) -> None:
        self._loader = loader
        self._lines: dict[FieldPath, int] = {}
        self._findings = Findings(path, self._lines)
        self._open: set[int] = set()
        self._count = 0

    def document(self, node: yaml.Node) -> Document:
        data = self._value(node, ())
        findings = Findings(self._findings.file, self._lines, data)
        findings.problems.extend(self._findings.problems)
        return Document(data, findings)

    def _value(self, node: yaml.Node, path: FieldPath) -> JsonValue:
        self._lines.setdefault(path, node.start_mark.line + 1)
        self._count += 1
        if self._count > _MAX_NODES:
            raise yaml.composer.ComposerError(None, None, "aliases expand to too many values", node.start_mark)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            raise yaml.composer.ComposerError(None, None, "an alias contains itself", node.start_mark)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._mapping(node, path) if isinstance(node, yaml.MappingNode) else None
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: yaml.ScalarNode, path: FieldPath) -> JsonValue:
        value = self._loader.construct_object(node)
        if isinstance(value, float) and not math.isfinite(value):
            self._findings.error(path, "JSON cannot hold this number", "write a finite number or text")
            return None
        if isinstance(value, str) and not _is_unicode(value):
            self._findings.error(path, "the text has half a surrogate pair", "write the character itself")
            return None
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        self._findings.error(path, f"JSON cannot hold a value of type {type(value).__name__}", "write it as text")
        return None

    def _mapping(self, node: yaml.MappingNode, path: FieldPath) -> JsonObject:
        self._check_duplicates(node, path)
        self._loader.flatten_mapping(node)
        result: JsonObject = {}
        for key_node, value_node in node.value:
            key = self._loader.construct_object(key_node, deep=True)
            if not isinstance(key, str) or not _is_unicode(key):
                key = ascii(key) if isinstance(key, str) else str(key_node.value)
                self._findings.error(
                    (*path, key), "this key is no text for YAML", f'put it in quotes: "{key}"', value=key
                )
            self._lines[*path, key] = key_node.start_mark.line + 1
            result[key] = self._value(value_node, (*path, key))
        return result

    def _check_duplicates(self, node: yaml.MappingNode, path: FieldPath) -> None:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen and key != "<<":
                self._lines[*path, key] = key_node.start_mark.line + 1
                self._findings.error((*path, key), "the key is there twice", "keep one of them", value=key)
            seen.add(key)


def _is_unicode(text: str) -> bool:
    """Tell whether a text can be written as UTF-8: YAML escapes can make halves of surrogate pairs."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
