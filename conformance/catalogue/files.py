"""The catalogue's own files as pydantic models: one family of requirements a file."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from conformance.model import Capability, Declaration, Level, Seen


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)


Text = Annotated[str, Field(min_length=1)]
VersionText = Annotated[str, Field(pattern=r"^\d+\.\d+(\.\d+)?$")]


class RequirementFile(_File):
    """One requirement; the fields are those of `conformance.model.Requirement`."""

    id: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]*-[0-9]{3}$")]
    level: Level
    title: Text
    seen: Annotated[list[Seen], Field(min_length=1)]
    min_kubevirt: Annotated[VersionText, Field(alias="minKubeVirt")]
    sources: Annotated[list[Text], Field(min_length=1)]
    declared: Declaration = Declaration.ALWAYS
    capabilities: list[Text] = []
    varies_with: list[Capability] = []
    mutant: str = ""
    min_kubevirt_for: Annotated[dict[Capability, VersionText], Field(alias="minKubeVirtFor")] = {}
    environment: str = ""
    feature_gates: dict[Annotated[str, Field(pattern="^[A-Z][A-Za-z0-9]*$")], VersionText | None] = {}
    observed: str = ""


class FamilyFile(_File):
    """One family of requirements, in the order of their numbers."""

    family: Text
    title: Text
    requirements: Annotated[list[RequirementFile], Field(min_length=1)]
