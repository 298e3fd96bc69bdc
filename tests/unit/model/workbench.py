"""A sound definition on disk, and ways to spoil it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from conformance.model import Binding, DefinitionError, JsonObject, JsonValue, Problem, Registration, load_binding
from conformance.model.jsonvalue import get_path

NAD: JsonObject = {
    "apiVersion": "k8s.cni.cncf.io/v1",
    "kind": "NetworkAttachmentDefinition",
    "metadata": {"name": "demo-nad", "namespace": "default"},
    "spec": {"config": json.dumps({"cniVersion": "1.0.0", "name": "demo-nad", "plugins": [{"type": "demo-cni"}]})},
}


def definition() -> JsonObject:
    """A definition that uses every part and has nothing wrong with it."""
    return {
        "apiVersion": "binding-conformance/v1alpha1",
        "kind": "BindingDefinition",
        "metadata": {"name": "demo"},
        "spec": {
            "implementation": {"organization": "Demo Ltd", "project": "demo", "version": "1.2"},
            "registration": {
                "networkAttachmentDefinition": "default/demo-nad",
                "sidecarImage": "registry.example/demo-sidecar:1.2",
                "migration": {"method": "link-refresh"},
                "computeResourceOverhead": {"requests": {"memory": "250Mi"}},
            },
            "capabilities": ["pod", "ipam", "nat", "mig", "refresh"],
            "facts": {"guestSubnet": "10.0.2.0/24", "nameservers": ["10.0.2.3", "fd00::3"], "ports": [80]},
            "manifests": ["manifests/nad.yaml"],
            "artifacts": {
                "images": [
                    {
                        "name": "registry.example/demo-sidecar:1.2",
                        "layer": "layer",
                        "command": ["/sidecar", "--verbose"],
                        "env": {"MODE": "demo"},
                    }
                ],
                "cniPlugins": [{"name": "demo-cni", "path": "demo-cni"}],
            },
        },
    }


def core_definition(core: str) -> JsonObject:
    """A definition of one of KubeVirt's own bindings, without anything wrong."""
    spec: JsonObject = {
        "implementation": {"organization": "KubeVirt", "project": core, "version": "1.9"},
        "core": core,
        "capabilities": ["pod", "ipam"],
    }
    head: JsonObject = {"apiVersion": "binding-conformance/v1alpha1", "kind": "BindingDefinition"}
    return {**head, "metadata": {"name": "demo"}, "spec": spec}


def registered(binding: Binding) -> Registration:
    """The registration of a binding that is a plugin."""
    assert binding.registration is not None
    return binding.registration


def mutant(*patches: JsonValue, **spec: JsonValue) -> JsonObject:
    """A mutant of the definition; without patches it removes ``migration``."""
    default: JsonValue = {
        "target": {"definition": True},
        "operations": [{"op": "remove", "path": "/spec/registration/migration"}],
    }
    return {
        "apiVersion": "binding-conformance/v1alpha1",
        "kind": "Mutant",
        "metadata": {"name": "demo-no-migration"},
        "spec": {
            "base": "demo.yaml",
            "fault": "The registration lacks migration.",
            "caughtBy": ["MIG-001"],
            "patches": list(patches) or [default],
            **spec,
        },
    }


@dataclass(frozen=True)
class Workbench:
    """A directory with the files of the definition."""

    directory: Path

    @classmethod
    def furnish(cls, directory: Path) -> Workbench:
        """Lay out the files of the sound definition."""
        bench = cls(directory)
        bench.executable("layer/sidecar")
        bench.executable("demo-cni")
        bench.write("manifests/nad.yaml", NAD)
        return bench

    def executable(self, name: str) -> Path:
        """Write an executable file."""
        path = self.text(name, "#!/bin/sh\n")
        path.chmod(0o755)
        return path

    def text(self, name: str, text: str) -> Path:
        """Write a text file."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def write(self, name: str, data: JsonValue) -> Path:
        """Write a YAML file."""
        return self.text(name, yaml.safe_dump(data, sort_keys=False))

    def load(self, data: JsonValue, name: str = "demo.yaml") -> Binding:
        """Write a definition or mutant and load it."""
        return load_binding(self.write(name, data))

    def problems(self, data: JsonValue, name: str = "demo.yaml") -> tuple[Problem, ...]:
        """Write a faulty definition or mutant and return the problems that loading it reports."""
        with pytest.raises(DefinitionError) as caught:
            self.load(data, name)
        return caught.value.problems


def change(data: JsonObject, path: str, value: JsonValue) -> JsonObject:
    """Set what stands under a dotted path (numbers are indices) and return the document."""
    keys = [int(key) if key.isdigit() else key for key in path.split(".")]
    parent = get_path(data, *keys[:-1])
    if isinstance(parent, dict):
        parent[str(keys[-1])] = value
    elif isinstance(parent, list):
        parent[int(keys[-1])] = value
    else:
        raise KeyError(path)
    return data


def remove(data: JsonObject, path: str) -> JsonObject:
    """Remove a key under a dotted path and return the document."""
    keys = path.split(".")
    parent = get_path(data, *keys[:-1])
    if not isinstance(parent, dict):
        raise KeyError(path)
    del parent[keys[-1]]
    return data
