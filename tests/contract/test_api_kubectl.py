"""kubectl as a second client, where it is installed."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.conftest import Widgets
from tests.contract.harness import Api, Body, Sandbox

KUBECTL = shutil.which("kubectl")
pytestmark = [
    pytest.mark.since(kubernetes="1.26"),
    pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed"),
]

Kubectl = Callable[..., str]


@pytest.fixture
def kubectl(kubeconfig: Path, namespace: str, tmp_path: Path) -> Kubectl:
    """Runs kubectl in the run's namespace; returns its standard output, fails with its standard error."""

    def run(*arguments: str, stdin: str = "") -> str:
        line = [str(KUBECTL), f"--kubeconfig={kubeconfig}", f"--cache-dir={tmp_path}", f"--namespace={namespace}"]
        ended = subprocess.run(
            [*line, *arguments], input=stdin, capture_output=True, text=True, timeout=30, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run


def test_get_prints_a_table(kubectl: Kubectl, widget: Body) -> None:
    lines = kubectl("get", "wg").splitlines()
    assert lines[0].split() == ["NAME", "SIZE", "READY", "AGE"]
    assert widget["metadata"]["name"] in [line.split()[0] for line in lines[1:]]


def test_apply_diff_and_delete(kubectl: Kubectl, api: Api, widgets: Widgets, name: str) -> None:
    manifest = json.dumps(widgets.body(name, {"size": 2, "options": {"a": "1"}}))
    assert "created" in kubectl("apply", "-f", "-", stdin=manifest)
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=manifest)
    changed = json.dumps(widgets.body(name, {"size": 3}))
    assert "configured" in kubectl("apply", "-f", "-", stdin=changed)
    assert api.get(f"{widgets.path}/{name}").expect(200)["spec"] == {"size": 3, "mode": "a"}
    assert kubectl("diff", "-f", "-", stdin=changed) == ""
    assert "deleted" in kubectl("delete", "-f", "-", stdin=changed)
    assert api.get(f"{widgets.path}/{name}").status == 404


def test_server_side_apply(kubectl: Kubectl, widgets: Widgets, name: str) -> None:
    manifest = json.dumps(widgets.body(name))
    assert "serverside-applied" in kubectl("apply", "--server-side", "-f", "-", stdin=manifest)


def test_apply_merges_a_built_in_kind(kubectl: Kubectl, api: Api, namespace: str, name: str) -> None:
    body: Body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1", "b": "2"}}
    kubectl("apply", "-f", "-", stdin=json.dumps(body))
    kubectl("apply", "-f", "-", stdin=json.dumps({**body, "data": {"a": "3"}}))
    assert api.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}").expect(200)["data"] == {"a": "3"}


def test_patch_label_and_wait(kubectl: Kubectl, widget: Body, widgets: Widgets) -> None:
    target = f"widget/{widget['metadata']['name']}"
    assert "patched" in kubectl("patch", target, "--type=merge", "-p", '{"spec":{"size":4}}')
    assert "labeled" in kubectl("label", target, "a=b")
    status = '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}'
    kubectl("patch", target, "--subresource=status", "--type=merge", "-p", status)
    assert "condition met" in kubectl("wait", target, "--for=condition=Ready", "--timeout=5s")
    assert "condition met" in kubectl("wait", target, "--for=jsonpath={.spec.size}=4", "--timeout=5s")


def test_watch_prints_rows(kubeconfig: Path, widgets: Widgets, widget: Body, api: Api) -> None:
    """kubectl skips the first event of a watch, so the change is repeated until it was seen."""
    name = widget["metadata"]["name"]
    line = [str(KUBECTL), f"--kubeconfig={kubeconfig}", f"--namespace={widgets.namespace}", "get", "wg", "-w", name]
    with subprocess.Popen([*line, "--no-headers"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            assert _printed(process.stdout.fileno()).split()[:2] == [name, "1"]
            rows = ""
            for size in (2, 3, 4, 5, 6):
                api.patch(f"{widgets.path}/{name}", {"spec": {"size": size}}).expect(200)
                rows += _printed(process.stdout.fileno(), 1)
                if rows:
                    break
            assert rows.split()[:2] == [name, str(size)]
        finally:
            process.terminate()


def _printed(descriptor: int, seconds: float = 10) -> str:
    """Whole lines that a process prints next; empty when nothing comes in time."""
    text = ""
    while not text.endswith("\n") and select.select([descriptor], [], [], seconds)[0]:
        data = os.read(descriptor, 65_536)
        if not data:
            break
        text += data.decode()
    return text


def test_describe_shows_events(kubectl: Kubectl, api: Api, namespace: str, widget: Body) -> None:
    metadata = widget["metadata"]
    involved = {"kind": "Widget", "namespace": namespace, "name": metadata["name"], "uid": metadata["uid"]}
    event = {"metadata": {"name": metadata["name"]}, "involvedObject": involved, "reason": "Tested", "message": "seen"}
    api.post(f"/api/v1/namespaces/{namespace}/events", {**event, "type": "Normal", "count": 1}).expect(201)
    described = kubectl("describe", "widget", metadata["name"])
    assert "Size:" in described
    assert "Tested" in described


def test_explain_reads_the_schema(kubectl: Kubectl, widgets: Widgets) -> None:
    explained = kubectl("explain", "widget.spec", f"--api-version={widgets.api_version}")
    assert "size" in explained
    assert "<integer> -required-" in explained


def test_create_namespace_config_map_and_secret(kubectl: Kubectl, name: str) -> None:
    assert "created" in kubectl("create", "namespace", name)
    assert "created" in kubectl("create", "configmap", name, "--from-literal=a=b")
    assert "created" in kubectl("create", "secret", "generic", name, "--from-literal=a=b")
    assert kubectl("get", "secret", name, "-o", "jsonpath={.data.a}") == "Yg=="
    kubectl("delete", "namespace", name)


def test_create_account_role_and_binding(kubectl: Kubectl, api: Api, namespace: str, name: str) -> None:
    assert "created" in kubectl("create", "serviceaccount", name)
    assert kubectl("create", "token", name, "--duration=1h").count(".") == 2
    assert "created" in kubectl("create", "role", name, "--verb=get,list", "--resource=pods", "--resource-name=a")
    assert "created" in kubectl("create", "rolebinding", name, f"--role={name}", f"--serviceaccount={namespace}:{name}")
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rule = {"apiGroups": [""], "resourceNames": ["a"], "resources": ["pods"], "verbs": ["get", "list"]}
    assert api.get(f"{path}/roles/{name}").expect(200)["rules"] == [rule]
    binding = api.get(f"{path}/rolebindings/{name}").expect(200)
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]


@pytest.mark.since(kubernetes="1.28")
def test_auth_tells_who_and_what(kubectl: Kubectl, sandbox: Sandbox) -> None:
    assert "sandbox-admin" in kubectl("auth", "whoami")
    assert kubectl("auth", "can-i", "create", "pods").strip() == "yes"


def test_logs_and_exec(kubectl: Kubectl, api: Api, sandbox: Sandbox, namespace: str, name: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    spec = {"containers": [{"name": "main", "image": "image:1"}]}
    api.post(path, {"metadata": {"name": name}, "spec": spec}).expect(201)
    api.patch(f"{path}/{name}/status", {"status": {"phase": "Running"}}).expect(200)
    assert kubectl("logs", name) == "first\nsecond\n"
    with pytest.raises(AssertionError, match="exit code 3"):
        kubectl("exec", name, "--", "true")
