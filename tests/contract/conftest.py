"""Fixtures of the contract suite. `--contract-kubeconfig F` runs it against another cluster than the sandbox."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conformance.model import SkipReason
from tests.contract.backend import stream_backend
from tests.contract.harness import DEFINITIONS, Api, Body, Sandbox, eventually, sandbox_server
from tests.contract.releases import NAME, misuse, too_old
from tests.lacking import skip


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("contract")
    group.addoption("--contract-kubeconfig", help="run the API contract against this cluster instead of the sandbox")


def pytest_configure(config: pytest.Config) -> None:
    """The suites' markers, for tests that call a check: the plugin, which registers them, rests here."""
    config.addinivalue_line("markers", "requirement(id): see conformance.plugin")
    config.addinivalue_line("markers", f"{NAME}(kubernetes, kubevirt): the oldest releases that the test applies to")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this suite says which servers it applies to."""
    here = Path(__file__).parent
    mine = [item for item in items if item.path.is_relative_to(here)]
    if wrong := [f"{item.nodeid} {text}" for item in mine if (text := misuse(item.get_closest_marker(NAME)))]:
        raise pytest.UsageError("\n".join(wrong))


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> dict[str, str]:
    """The versions of Kubernetes and of KubeVirt on a cluster that was given; empty for the sandbox."""
    given = request.config.getoption("--contract-kubeconfig", None)
    if not given:
        return {}
    api = Api(Path(given))
    found: dict[str, str] = {"kubernetes": api.get("/version").expect(200)["gitVersion"]}
    listed = api.get("/apis/kubevirt.io/v1/kubevirts")
    for kubevirt in listed.body["items"] if listed.status == 200 else ():
        if version := kubevirt.get("status", {}).get("observedKubeVirtVersion"):
            found["kubevirt"] = version
    return found


@pytest.fixture(autouse=True)
def _applicable(request: pytest.FixtureRequest, servers: dict[str, str]) -> None:
    """Skip what an older cluster does not promise. The sandbox is as new as anything here."""
    marker = request.node.get_closest_marker(NAME)
    if servers and (text := too_old(marker, servers)):
        skip(SkipReason.ENVIRONMENT_LACKS, text)


@pytest.fixture(scope="session")
def _server(request: pytest.FixtureRequest) -> Iterator[Sandbox | None]:
    if request.config.getoption("--contract-kubeconfig", None):
        yield None
        return
    # UNIX socket paths are short: not below pytest's own temporary directory.
    with tempfile.TemporaryDirectory(prefix="kbc-contract-") as name:
        directory = Path(name)
        definitions = [str(path) for path in sorted(DEFINITIONS.glob("*.yaml"))]
        tokens = directory / "tokens.csv"
        tokens.write_text('reader-token,reader,reader-uid,"readers,more"\n', encoding="ascii")
        arguments = ["--admission", "tests.contract.admission_hook:review", "--token-file", str(tokens)]
        with (
            stream_backend(directory / "backend.sock") as backend,
            sandbox_server(directory, backend, *arguments, "--crds", *definitions) as server,
        ):
            yield server


@pytest.fixture(scope="session")
def sandbox(_server: Sandbox | None) -> Sandbox:
    """The sandbox server; tests of what only it promises are skipped on another cluster."""
    if _server is None:
        skip(SkipReason.OTHER_ENVIRONMENT, "a promise of the sandbox's own API server")
    return _server


@pytest.fixture(scope="session")
def kubeconfig(request: pytest.FixtureRequest, _server: Sandbox | None) -> Path:
    """The kubeconfig of the cluster under test."""
    return _server.kubeconfig if _server else Path(request.config.getoption("--contract-kubeconfig"))


@pytest.fixture(scope="session")
def api(kubeconfig: Path) -> Api:
    """The cluster under test."""
    return Api(kubeconfig)


@pytest.fixture(scope="session")
def namespace(api: Api) -> Iterator[str]:
    """A namespace for the whole run."""
    name = f"contract-{uuid.uuid4().hex[:6]}"
    api.post("/api/v1/namespaces", {"metadata": {"name": name}}).expect(201)
    yield name
    api.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"t-{uuid.uuid4().hex[:10]}"


@dataclass(frozen=True)
class Widgets:
    """A custom resource made for this run."""

    group: str
    namespace: str

    @property
    def api_version(self) -> str:
        """Group and version."""
        return f"{self.group}/v1"

    @property
    def crd(self) -> str:
        """The name of its definition."""
        return f"widgets.{self.group}"

    @property
    def path(self) -> str:
        """The collection in the run's namespace."""
        return f"/apis/{self.api_version}/namespaces/{self.namespace}/widgets"

    def body(self, name: str, spec: Body | None = None, **metadata: Any) -> Body:
        """A widget; its spec is `{size: 1}` unless given."""
        return {
            "apiVersion": self.api_version,
            "kind": "Widget",
            "metadata": {"name": name, **metadata},
            "spec": {"size": 1} if spec is None else spec,
        }

    def definition(self) -> Body:
        """The CustomResourceDefinition."""
        version = {
            "name": "v1",
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": _WIDGET_SCHEMA},
            "subresources": {"status": {}},
            "additionalPrinterColumns": [
                {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"},
                {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
            ],
        }
        names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wg"]}
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": self.crd},
            "spec": {"group": self.group, "scope": "Namespaced", "names": names, "versions": [version]},
        }


_CONDITIONS = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
    "items": {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"type": "string"}, "status": {"type": "string"}, "reason": {"type": "string"}},
    },
}
_PARTS = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "items": {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "weight": {"type": "integer"}},
    },
}
_WIDGET_SCHEMA = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "maximum": 10},
                "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
                "code": {"type": "string", "pattern": "^[a-z]+$"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "parts": _PARTS,
                "options": {"type": "object", "additionalProperties": {"type": "string"}},
                "opaque": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "port": {"x-kubernetes-int-or-string": True},
            },
        },
        "status": {"type": "object", "properties": {"phase": {"type": "string"}, "conditions": _CONDITIONS}},
    },
}


@pytest.fixture(scope="session")
def widgets(api: Api, namespace: str) -> Iterator[Widgets]:
    """The custom resource, established and served."""
    made = Widgets(f"{namespace}.example.com", namespace)
    api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", made.definition()).expect(201)
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{made.crd}"

    def established() -> bool:
        conditions = api.get(path).body.get("status", {}).get("conditions", [])
        return {"Established": "True"}.items() <= {entry["type"]: entry["status"] for entry in conditions}.items()

    eventually("the definition is established", established)
    eventually("widgets are served", lambda: api.get(made.path).status == 200)
    yield made
    api.delete(path)


@pytest.fixture
def widget(api: Api, widgets: Widgets, name: str) -> Body:
    """A stored widget."""
    stored: Body = api.post(widgets.path, widgets.body(name)).expect(201)
    return stored
