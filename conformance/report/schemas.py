"""The JSON Schemas that this project publishes, made from the models that read the files.

``python -m conformance.report.schemas DIRECTORY`` writes them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pydantic import BaseModel

from conformance.model import JsonObject, JsonValue
from conformance.model.definition.files import DefinitionFile, MutantFile
from conformance.report.files import ReportFile
from conformance.site.files import SiteFile

_MODELS: dict[str, type[BaseModel]] = {
    "binding-definition.schema.json": DefinitionFile,
    "mutant.schema.json": MutantFile,
    "conformance-report.schema.json": ReportFile,
    "site.schema.json": SiteFile,
}

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, JsonObject]:
    """Return the schemas by file name."""
    return {name: _schema(model) for name, model in _MODELS.items()}


def render(schema: JsonObject) -> str:
    """Return the text of a schema file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write_schemas(directory: Path) -> list[Path]:
    """Write the schemas into a directory, which is created, and return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, schema in schemas().items():
        path = directory / name
        path.write_text(render(schema), encoding="utf-8")
        paths.append(path)
    return paths


def _schema(model: type[BaseModel]) -> JsonObject:
    schema: JsonObject = model.model_json_schema(by_alias=True)
    cleaned = _clean(schema)
    title = model.__name__.removesuffix("File")
    return {"$schema": _DIALECT, **(cleaned if isinstance(cleaned, dict) else {}), "title": title}


def _clean(value: JsonValue, *, named: bool = False) -> JsonValue:
    """Drop the titles pydantic makes from field names, and the line breaks of descriptions.

    ``named`` says that the keys of ``value`` are names of fields or models, not keywords.
    """
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if not isinstance(value, dict):
        return value
    result: JsonObject = {}
    for key, item in value.items():
        if key == "title" and not named:
            continue
        if key == "description" and not named and isinstance(item, str):
            result[key] = " ".join(item.split())
        else:
            result[key] = _clean(item, named=key in {"properties", "$defs"} and not named)
    return result


if __name__ == "__main__":
    for written in write_schemas(Path(sys.argv[1])):
        print(written)
