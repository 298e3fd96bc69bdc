"""A binding as a vendor ships it: nothing but images in archives, no Docker, no file that somebody copies to a node.

The sidecar's image is an OCI archive, and has all that it runs; the CNI plugin comes in another, as `docker save`
writes it, and a DaemonSet puts it on the nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.cluster.install import Installation, undo
from conformance.cluster.sandbox import SandboxProvider
from conformance.kube.cluster import Cluster
from conformance.kube.ledger import Ledger
from conformance.kube.lifecycle import launcher_pod
from conformance.kube.manifest import Ref, dig
from conformance.kube.pods import pod_exec
from conformance.kube.timeouts import Deadline, Timeouts
from conformance.kube.vmi import NicSpec
from conformance.model import load_binding
from conformance.sandbox import daemon
from conformance.sandbox.roots import ensure_node_root
from conformance.sandbox.state import default_cache_dir
from conformance.traffic.pod import ClientPod, client_pod_manifest
from fixtures.images import LOCK, client_image
from fixtures.machines import PORTS
from tests.packing import docker_archive, layer, oci_archive, tree
from tests.sandbox.machines import SECONDS, booted, reach
from tests.sandbox.rootlayer import LINKS, PYTHON, SHELL, programs

PLUGINS = LOCK.parent / "plugins"
SIDECAR, INSTALLER = "registry.example/shipped-sidecar:v1", "registry.example/shipped-cni:v1"
PLUGIN = "shipped-binding-cni"
DEFINITION = f"""
apiVersion: binding-conformance/v1alpha1
kind: BindingDefinition
metadata: {{name: shipped}}
spec:
  implementation: {{organization: Example, project: shipped, version: v1}}
  registration:
    networkAttachmentDefinition: default/shipped
    sidecarImage: {SIDECAR}
    migration: {{method: link-refresh}}
  capabilities: [pod, ipam, podip, ports, mig, refresh]
  manifests: [shipped.yaml]
  artifacts:
    images:
      - {{name: {SIDECAR}, archive: sidecar.tar}}
      - {{name: {INSTALLER}, archive: installer.tar}}
"""
MANIFESTS = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: shipped-cni}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: shipped-cni, namespace: shipped-cni}}
spec:
  selector: {{matchLabels: {{name: shipped-cni}}}}
  template:
    metadata: {{labels: {{name: shipped-cni}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: installer
          image: {INSTALLER}
          command: [/bin/sh, -ce]
          args: ['ls -la /cni/{PLUGIN}; cp -f /cni/{PLUGIN} /opt/cni/bin; exec sleep 2147483647']
          securityContext: {{privileged: true}}
          volumeMounts: [{{name: cnibin, mountPath: /opt/cni/bin}}]
      volumes: [{{name: cnibin, hostPath: {{path: /opt/cni/bin}}}}]
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {{name: shipped, namespace: default}}
spec:
  config: '{{"cniVersion": "1.0.0", "name": "shipped", "plugins": [{{"type": "{PLUGIN}"}}]}}'
"""
LOOK = "import os; print(*sorted(os.listdir('/usr/bin')), os.getuid(), os.environ['SHIPPED'], os.getcwd())"


@pytest.fixture(scope="module")
def definition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a vendor's release has: a definition, its manifests, and two archives."""
    directory = tmp_path_factory.mktemp("shipped")
    root = ensure_node_root(default_cache_dir(), lambda _stage, _fraction: None)
    base = programs(root, PYTHON, {"usr/bin/python3": LINKS["usr/bin/python3"]})
    settings = {"Entrypoint": ["/passt-sidecar"], "Env": ["SHIPPED=v1"], "WorkingDir": "/opt"}
    oci_archive(directory / "sidecar.tar", [base, tree(PLUGINS / "hook_sidecars")], "zstd", **settings)
    shell = programs(root, SHELL, {"usr/bin/sh": LINKS["usr/bin/sh"]})
    plugin = (PLUGINS / "passt_cni" / "cni_passt_binding_plugin.py").read_bytes()
    docker_archive(directory / "installer.tar", INSTALLER, [shell, layer({"cni/": b"", f"cni/{PLUGIN}": plugin})])
    (directory / "shipped.yaml").write_text(MANIFESTS, encoding="utf-8")
    (directory / "binding.yaml").write_text(DEFINITION, encoding="utf-8")
    return directory / "binding.yaml"


@pytest.fixture(scope="module")
def shipped(
    definition: Path, sandbox: daemon.RunningSandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """The cluster with the binding installed and registered; undone at the end."""
    scratch, timeouts = tmp_path_factory.mktemp("run"), Timeouts().scaled(2)
    ledger = Ledger(scratch / "ledger")
    connected = Cluster.connect(sandbox.kubeconfig, cache_file=scratch / "discovery", ledger=ledger)
    provider = SandboxProvider(sandbox.state.path)
    provider.up(lambda _text: None)
    installation = Installation(connected, provider, load_binding(definition), "shipped", timeouts)
    with pytest.MonkeyPatch.context() as patch:
        # archives are unpacked below the cache: not for good, and anew each time
        patch.setenv("XDG_CACHE_HOME", str(scratch))
        installation.install(lambda _text: None)
    installation.register(connected, lambda _text: None)
    yield connected
    undo(lambda _: connected, ledger, timeouts)
    connected.close()


def test_a_vm_with_a_binding_that_is_nothing_but_images(shipped: Cluster) -> None:
    manifest = client_pod_manifest("shipped-client", "default", client_image())
    client = ClientPod.start(shipped, manifest, Deadline.patience(SECONDS))
    with booted(shipped, "shipped", NicSpec("default", "shipped", ports=PORTS)) as machine:
        pod = launcher_pod(shipped, machine.view)
        assert machine.lease() == dig(pod, "status", "podIP")
        reach(client, machine, machine.lease())
        ref = Ref.of(pod)
        [sidecar] = [c for c in dig(pod, "spec", "containers") if c["image"] == SIDECAR]
        seen = pod_exec(shipped, ref.namespace, ref.name, sidecar["name"], ("python3", "-c", LOOK))
        assert seen.stdout.decode().split() == ["python3", "python3.13", "107", "v1", "/opt"], seen.stderr.decode()
    shipped.delete(client.ref)
