"""The catalogue is complete and sound."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from conformance import catalogue
from conformance.catalogue import CatalogueError, UnknownRequirementError
from conformance.model import Capability, Declaration, JsonValue, Level, Seen, Version
from conformance.model.requirement import profile_capabilities

COUNTS = {
    "REG": 16,
    "POD": 7,
    "SEC": 7,
    "HOOK": 13,
    "CNI": 7,
    "VM": 12,
    "DHCP": 13,
    "V6": 6,
    "CONN": 16,
    "MTU": 2,
    "LINK": 4,
    "HP": 4,
    "MIG": 20,
    "OBS": 7,
    "LIFE": 5,
    "UPG": 4,
}

SHOULD = {
    "REG": (3, 12, 13, 15),
    "POD": (5, 7),
    "SEC": (2, 4, 6),
    "HOOK": (10,),
    "CNI": (6,),
    "VM": (6, 7, 11),
    "DHCP": (4, 5, 6, 8, 9),
    "V6": (4, 5),
    "CONN": (9, 10, 12, 13, 14),
    "HP": (3, 4),
    "MIG": (9, 14, 15, 16, 19),
    "OBS": (4, 6, 7),
    "UPG": (1, 2),
}
MAY = ["SEC-007", "VM-012", "CONN-016"]


def test_every_id_is_there_in_order() -> None:
    expected = [f"{prefix}-{number:03}" for prefix, count in COUNTS.items() for number in range(1, count + 1)]

    assert list(catalogue.load().ids) == expected
    assert len(expected) == 143


def test_levels() -> None:
    levels = {requirement.id: requirement.level for requirement in catalogue.load().requirements}

    should = [f"{prefix}-{number:03}" for prefix, numbers in SHOULD.items() for number in numbers]
    assert [id_ for id_, level in levels.items() if level is Level.SHOULD] == should
    assert [id_ for id_, level in levels.items() if level is Level.MAY] == MAY


@pytest.mark.parametrize(
    ("id_", "capabilities"),
    [
        ("REG-001", []),
        ("POD-002", ["cni", "sec"]),
        ("POD-007", ["ovh", "ports"]),
        ("HOOK-012", ["sidecar", "attach"]),
        ("DHCP-013", ["!ipam"]),
        ("CONN-002", ["pod|sec"]),
        ("MTU-001", ["attach|ipam"]),
        ("LINK-003", ["attach|link", "mig"]),
        ("MIG-002", ["pod", "!mig"]),
        ("MIG-010", ["mig", "!refresh"]),
        ("MIG-018", ["sec"]),
    ],
)
def test_whom_a_requirement_concerns(id_: str, capabilities: list[str]) -> None:
    assert [term.text for term in catalogue.load().get(id_).capabilities] == capabilities


@pytest.mark.parametrize(
    ("declaration", "ids"),
    [
        (Declaration.CAPABILITY, ["CONN-006", "CONN-008", "LINK-001", "LINK-002"]),
        (Declaration.OPT_OUT, ["VM-004", "VM-005", "CONN-013", "OBS-001"]),
        (Declaration.OPT_IN, MAY),
    ],
)
def test_what_a_vendor_declares(declaration: Declaration, ids: list[str]) -> None:
    assert [item.id for item in catalogue.load().requirements if item.declaration is declaration] == ids


def test_every_capability_has_a_requirement_that_verifies_it() -> None:
    verified = frozenset[Capability]().union(*(item.mentioned for item in catalogue.load().requirements))

    assert verified == frozenset(Capability)


def test_every_profile_has_requirements() -> None:
    profiles = {profile for item in catalogue.load().requirements for profile in item.profiles}

    assert profiles == {"core", *(capability.value for capability in profile_capabilities())}
    assert all(item.profiles for item in catalogue.load().requirements)


def test_first_releases() -> None:
    get = catalogue.load().get

    assert get("HOOK-008").min_kubevirt == Version(1, 6)
    assert get("DHCP-010").first_kubevirt({Capability.IPAM}) == Version(1, 1)
    assert get("DHCP-010").first_kubevirt({Capability.ATTACH_MANAGED_TAP}) == Version(1, 5)


@pytest.mark.parametrize("id_", ["REG-015", "HOOK-004", "HOOK-007", "HOOK-008", "LINK-001", "MIG-008", "MIG-011"])
def test_observations_that_correct_a_statement_are_noted(id_: str) -> None:
    assert "v1.9.0" in catalogue.load().get(id_).observed


def test_sources_are_described() -> None:
    book = catalogue.load()
    for requirement in book.requirements:
        assert requirement.seen <= frozenset(Seen)
        for key in requirement.sources:
            assert len(book.describe_source(key)) > 10
    assert book.describe_source("kubevirt#11895") == "KubeVirt issue or pull request 11895"


def test_titles_are_sentences_of_their_own() -> None:
    titles = [item.title for item in catalogue.load().requirements]

    assert len(set(titles)) == len(titles)
    assert all(10 < len(title) <= 240 and not title.endswith(".") for title in titles)


def test_an_unknown_id_suggests_a_known_one() -> None:
    with pytest.raises(UnknownRequirementError, match="did you mean DHCP-002"):
        catalogue.load().get("dhcp-002")


class TestUnsoundCatalogue:
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        source = files("conformance.catalogue") / "data"
        for entry in source.iterdir():
            (tmp_path / entry.name).write_text(entry.read_text(encoding="utf-8"), encoding="utf-8")
        return tmp_path

    @pytest.mark.parametrize(
        ("field", "value", "problem"),
        [
            ("id", "MTU-002", "MTU-002: there are 2 requirements"),
            ("capabilities", ["podd"], "MTU-001: capability term 'podd'"),
            ("sources", ["S-NONE"], "MTU-001: unknown source S-NONE"),
            ("level", "MAY", "MTU-001: MAY and declared: optIn go together"),
            ("level", "must", "requirements.0.level"),
            ("minKubeVirt", "one", "requirements.0.minKubeVirt"),
            ("variesWith", ["x"], "requirements.0.variesWith"),
            ("note", "x", "requirements.0.note"),
        ],
    )
    def test_names_the_problem(self, directory: Path, field: str, value: JsonValue, problem: str) -> None:
        path = directory / "mtu.yaml"
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        data["requirements"][0][field] = value
        path.write_text(yaml.safe_dump(data), encoding="utf-8")

        with pytest.raises(CatalogueError) as caught:
            catalogue.load_from(directory)

        assert any(problem in text for text in caught.value.problems)

    def test_a_lost_requirement_is_noticed(self, directory: Path) -> None:
        path = directory / "mtu.yaml"
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        del data["requirements"][1]
        path.write_text(yaml.safe_dump(data), encoding="utf-8")

        with pytest.raises(CatalogueError, match="142 requirements instead of 143"):
            catalogue.load_from(directory)

    def test_a_lost_file_is_noticed(self, directory: Path) -> None:
        (directory / "mtu.yaml").unlink()

        with pytest.raises(CatalogueError, match=r"mtu\.yaml"):
            catalogue.load_from(directory)

    def test_the_copy_is_sound(self, directory: Path) -> None:
        assert catalogue.load_from(directory).ids == catalogue.load().ids
