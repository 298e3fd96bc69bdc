"""Roles and bindings: who may do what, and in which words the API refuses. Applies to every Kubernetes version.

The texts are those recorded from Kubernetes 1.36.2; where they differ in older servers the test says so.
"""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from conformance.model import SkipReason
from tests.contract.conftest import Widgets
from tests.contract.harness import APPLY_PATCH, Answer, Api, Body, Sandbox, eventually
from tests.contract.test_api_kubectl import KUBECTL
from tests.lacking import skip

pytestmark = pytest.mark.since(kubernetes="1.26")

RBAC = "/apis/rbac.authorization.k8s.io/v1"
GROUP = "rbac.authorization.k8s.io"
PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}


@dataclass(frozen=True)
class Account:
    """A ServiceAccount that speaks to the API with a token of its own."""

    api: Api
    namespace: str
    name: str
    token: str

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    def request(
        self, method: str, path: str, body: object = None, content_type: str = "application/json", **headers: str
    ) -> Answer:
        """One request as the account."""
        pool = urllib3.PoolManager(ca_certs=self.api.client.configuration.ssl_ca_cert)
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": content_type}
        sent |= {key.replace("_", "-"): value for key, value in headers.items()}
        data = None if body is None else json.dumps(body)
        found = pool.request(method, self.api.host + path, headers=sent, body=data)
        decoded = json.loads(found.data) if found.data[:1] in (b"{", b"[") else found.data
        return Answer(found.status, decoded, found.headers)

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, path: str, body: object) -> Answer:
        return self.request("POST", path, body)

    def may(self, **attributes: str) -> bool:
        """A SelfSubjectAccessReview."""
        review = {"spec": {"resourceAttributes": {"namespace": self.namespace, **attributes}}}
        found = self.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review).expect(201)
        return bool(found["status"]["allowed"])

    def granted(self, *rules: Body, clusterwide: bool = False) -> Account:
        """Bind rules to the account: in its namespace, or cluster-wide."""
        name, kind = f"{self.name}-{uuid.uuid4().hex[:5]}", "ClusterRole" if clusterwide else "Role"
        role = {"metadata": {"name": name}, "rules": list(rules)}
        root = RBAC if clusterwide else f"{RBAC}/namespaces/{self.namespace}"
        self.api.post(f"{root}/{kind.lower()}s", role).expect(201)
        self.bind(kind, name, clusterwide=clusterwide)
        return self

    def bind(self, kind: str, role: str, *, clusterwide: bool = False) -> str:
        """Bind a role to the account; the binding's path."""
        root = f"{RBAC}/clusterrolebindings" if clusterwide else f"{RBAC}/namespaces/{self.namespace}/rolebindings"
        subject = {"kind": "ServiceAccount", "name": self.name, "namespace": self.namespace}
        name = f"{self.name}-{uuid.uuid4().hex[:5]}"
        reference = {"apiGroup": GROUP, "kind": kind, "name": role}
        body = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
        self.api.post(root, body).expect(201)
        return f"{root}/{name}"


@pytest.fixture
def account(api: Api, namespace: str, name: str) -> Iterator[Account]:
    """An account without rights; cluster-wide roles made for it are deleted with it."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    api.post(path, {"metadata": {"name": name}}).expect(201)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    token = api.post(f"{path}/{name}/token", request).expect(201)["status"]["token"]
    yield Account(api, namespace, name, token)
    for plural in ("clusterrolebindings", "clusterroles"):
        for item in api.get(f"{RBAC}/{plural}").expect(200)["items"]:
            if item["metadata"]["name"].startswith(name):
                api.delete(f"{RBAC}/{plural}/{item['metadata']['name']}")


def refusal(answer: Answer) -> str:
    """The message of a 403."""
    return str(answer.refused(403, "Forbidden")["message"])


# ---------------------------------------------------------------------------------------------- without rights


def test_account_without_rights_may_discover(account: Account) -> None:
    for path in ("/version", "/api", "/apis", "/api/v1", "/openapi/v3"):
        account.get(path).expect(200)


def test_list_is_refused_in_kubernetes_words(account: Account) -> None:
    where = f'in the namespace "{account.namespace}"'
    assert refusal(account.get(f"/api/v1/namespaces/{account.namespace}/pods")) == (
        f'pods is forbidden: User "{account.user}" cannot list resource "pods" in API group "" {where}'
    )


def test_refusal_names_object_group_and_scope(account: Account, widgets: Widgets) -> None:
    answer = account.get(f"{widgets.path}/some")
    assert refusal(answer) == (
        f'widgets.{widgets.group} "some" is forbidden: User "{account.user}" cannot get resource "widgets" '
        f'in API group "{widgets.group}" in the namespace "{widgets.namespace}"'
    )
    assert answer.body["details"] == {"name": "some", "group": widgets.group, "kind": "widgets"}
    text = 'nodes is forbidden: User "{}" cannot list resource "nodes" in API group "" at the cluster scope'
    assert refusal(account.get("/api/v1/nodes")) == text.format(account.user)


def test_refusal_of_a_path(account: Account) -> None:
    assert refusal(account.get("/metrics")) == f'forbidden: User "{account.user}" cannot get path "/metrics"'


def test_refusal_of_a_subresource(account: Account) -> None:
    path = f"/api/v1/namespaces/{account.namespace}/pods/some/log"
    assert refusal(account.get(path)) == (
        f'pods "some" is forbidden: User "{account.user}" cannot get resource "pods/log" in API group "" '
        f'in the namespace "{account.namespace}"'
    )


def test_namespace_itself_counts_as_in_the_namespace(account: Account) -> None:
    path = f"/api/v1/namespaces/{account.namespace}"
    assert f'in the namespace "{account.namespace}"' in refusal(account.get(path))
    account.granted({"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]})
    account.get(path).expect(200)


def test_absence_is_not_told_to_the_unauthorised(account: Account) -> None:
    assert account.get("/api/v1/namespaces/no-such-namespace/pods/x").status == 403


# ------------------------------------------------------------------------------------------------------- roles


def test_role_gives_its_verbs_in_its_namespace(account: Account) -> None:
    account.granted(PODS)
    account.get(f"/api/v1/namespaces/{account.namespace}/pods").expect(200)
    account.post(f"/api/v1/namespaces/{account.namespace}/pods", {}).refused(403, "Forbidden")
    account.get("/api/v1/namespaces/default/pods").refused(403, "Forbidden")
    account.get("/api/v1/pods").refused(403, "Forbidden")


def test_cluster_role_bound_in_a_namespace_stays_there(account: Account) -> None:
    account.bind("ClusterRole", "view")
    account.get(f"/api/v1/namespaces/{account.namespace}/pods").expect(200)
    account.get("/api/v1/namespaces/default/pods").refused(403, "Forbidden")


def test_cluster_role_binding_reaches_everywhere(account: Account) -> None:
    account.granted(PODS, clusterwide=True)
    account.get("/api/v1/pods").expect(200)
    account.get("/api/v1/namespaces/default/pods").expect(200)


def test_rights_end_with_the_binding(account: Account) -> None:
    path = account.bind("ClusterRole", "view")
    account.get(f"/api/v1/namespaces/{account.namespace}/pods").expect(200)
    account.api.delete(path).expect(200)
    eventually("the right is gone", lambda: account.get(f"/api/v1/namespaces/{account.namespace}/pods").status == 403)


def test_resource_names_limit_to_objects(account: Account, api: Api) -> None:
    path = f"/api/v1/namespaces/{account.namespace}/configmaps"
    for name in ("mine", "other"):
        api.post(path, {"metadata": {"name": f"{account.name}-{name}"}}).expect(201)
    mine = f"{account.name}-mine"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [mine]}
    account.granted({**rule, "verbs": ["get", "list", "patch", "create"]})
    account.get(f"{path}/{mine}").expect(200)
    account.request("PATCH", f"{path}/{mine}", {"data": {"a": "b"}}, "application/merge-patch+json").expect(200)
    account.get(f"{path}/{account.name}-other").refused(403, "Forbidden")
    account.get(path).refused(403, "Forbidden")
    account.get(f"{path}?fieldSelector=metadata.name%3D{mine}").expect(200)
    account.post(path, {"metadata": {"name": mine}}).refused(403, "Forbidden")


def test_subresources_are_rights_of_their_own(account: Account, widgets: Widgets, widget: Body) -> None:
    account.granted({"apiGroups": [widgets.group], "resources": ["widgets"], "verbs": ["*"]})
    path = f"{widgets.path}/{widget['metadata']['name']}/status"
    patch = {"status": {"phase": "x"}}
    account.request("PATCH", path, patch, "application/merge-patch+json").refused(403, "Forbidden")
    account.granted({"apiGroups": [widgets.group], "resources": ["widgets/status"], "verbs": ["patch"]})
    account.request("PATCH", path, patch, "application/merge-patch+json").expect(200)


def test_apply_of_something_new_needs_create(account: Account, widgets: Widgets, name: str) -> None:
    account.granted({"apiGroups": [widgets.group], "resources": ["widgets"], "verbs": ["patch"]})
    path = f"{widgets.path}/{name}?fieldManager=me"
    assert 'cannot create resource "widgets"' in refusal(
        account.request("PATCH", path, widgets.body(name), APPLY_PATCH)
    )
    account.granted({"apiGroups": [widgets.group], "resources": ["widgets"], "verbs": ["create"]})
    account.request("PATCH", path, widgets.body(name), APPLY_PATCH).expect(201)


def test_deletecollection_and_watch_are_verbs_of_their_own(account: Account) -> None:
    account.granted({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "delete"]})
    path = f"/api/v1/namespaces/{account.namespace}/configmaps"
    assert "cannot watch resource" in refusal(account.get(f"{path}?watch=true"))
    assert "cannot deletecollection resource" in refusal(account.request("DELETE", f"{path}?labelSelector=no%3Done"))


def test_non_resource_urls(account: Account) -> None:
    account.granted({"nonResourceURLs": ["/metrics", "/logs/*"], "verbs": ["get"]}, clusterwide=True)
    assert account.get("/metrics").status != 403
    assert account.get("/logs/anything").status != 403
    assert account.get("/debug").status == 403


def test_groups_of_accounts_are_subjects(account: Account, api: Api) -> None:
    subject = {"kind": "Group", "name": f"system:serviceaccounts:{account.namespace}", "apiGroup": GROUP}
    reference = {"apiGroup": GROUP, "kind": "ClusterRole", "name": "view"}
    path = f"{RBAC}/namespaces/{account.namespace}/rolebindings"
    body = {"metadata": {"name": account.name}, "roleRef": reference, "subjects": [subject]}
    api.post(path, body).expect(201)
    account.get(f"/api/v1/namespaces/{account.namespace}/pods").expect(200)
    api.delete(f"{path}/{account.name}").expect(200)


def test_binding_to_a_missing_role_gives_nothing(account: Account) -> None:
    account.bind("Role", "no-such-role")
    account.get(f"/api/v1/namespaces/{account.namespace}/pods").refused(403, "Forbidden")


def test_cluster_roles_aggregate(account: Account, api: Api) -> None:
    """What is labelled for an aggregated role comes to whoever has it, and goes again."""
    label = f"aggregate-{account.name}"
    aggregated = {
        "metadata": {"name": f"{account.name}-all"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]},
    }
    api.post(f"{RBAC}/clusterroles", aggregated).expect(201)
    account.bind("ClusterRole", f"{account.name}-all")
    part = {"metadata": {"name": f"{account.name}-part", "labels": {label: "true"}}, "rules": [PODS]}
    path = f"/api/v1/namespaces/{account.namespace}/pods"
    account.get(path).refused(403, "Forbidden")
    api.post(f"{RBAC}/clusterroles", part).expect(201)
    eventually("the rule is aggregated", lambda: account.get(path).status == 200)
    assert api.get(f"{RBAC}/clusterroles/{account.name}-all").expect(200)["rules"] == [PODS]
    api.delete(f"{RBAC}/clusterroles/{account.name}-part").expect(200)
    eventually("the rule is gone", lambda: account.get(path).status == 403)


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        ("view", [("list", "pods")], [("create", "pods"), ("get", "secrets")]),
        ("edit", [("create", "pods"), ("get", "secrets"), ("list", "services")], [("create", "roles")]),
        ("admin", [("create", "pods"), ("create", "roles")], [("create", "nodes")]),
    ],
)
def test_default_roles(account: Account, role: str, may: list[tuple[str, str]], may_not: list[tuple[str, str]]) -> None:
    account.bind("ClusterRole", role)
    groups = {"roles": GROUP}
    for allowed, pairs in ((True, may), (False, may_not)):
        for verb, resource in pairs:
            found = account.may(verb=verb, resource=resource, group=groups.get(resource, ""))
            assert found is allowed, f"{role}: {verb} {resource}"


# ---------------------------------------------------------------------------------------------------- escalation


def test_nobody_grants_what_they_do_not_have(account: Account) -> None:
    account.granted({"apiGroups": [GROUP], "resources": ["roles"], "verbs": ["create", "patch"]}, PODS)
    path = f"{RBAC}/namespaces/{account.namespace}/roles"
    held = {"metadata": {"name": f"{account.name}-a"}, "rules": [PODS]}
    account.post(path, held).expect(201)
    more = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "delete", "create"]}
    text = refusal(account.post(path, {"metadata": {"name": f"{account.name}-b"}, "rules": [more]}))
    assert text.startswith(f'roles.{GROUP} "{account.name}-b" is forbidden: user "{account.user}" (groups=[')
    assert "is attempting to grant RBAC permissions not currently held:\n" in text
    assert text.endswith('{APIGroups:[""], Resources:["pods"], Verbs:["delete" "create"]}')
    patch = {"rules": [more]}
    account.request("PATCH", f"{path}/{account.name}-a", patch, "application/merge-patch+json").refused(
        403, "Forbidden"
    )


def test_escalate_lifts_the_limit(account: Account) -> None:
    account.granted({"apiGroups": [GROUP], "resources": ["roles"], "verbs": ["create", "escalate"]})
    path = f"{RBAC}/namespaces/{account.namespace}/roles"
    account.post(path, {"metadata": {"name": f"{account.name}-c"}, "rules": [PODS]}).expect(201)


def test_binding_needs_the_rights_or_bind(account: Account) -> None:
    account.granted({"apiGroups": [GROUP], "resources": ["rolebindings"], "verbs": ["create"]})
    path = f"{RBAC}/namespaces/{account.namespace}/rolebindings"
    subject = {"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}
    reference = {"apiGroup": GROUP, "kind": "ClusterRole", "name": "view"}
    body = {"metadata": {"name": f"{account.name}-v"}, "roleRef": reference, "subjects": [subject]}
    assert "is attempting to grant RBAC permissions" in refusal(account.post(path, body))
    account.granted({"apiGroups": [GROUP], "resources": ["clusterroles"], "resourceNames": ["view"], "verbs": ["bind"]})
    account.post(path, body).expect(201)


def test_role_reference_cannot_change(account: Account, api: Api) -> None:
    path = account.bind("ClusterRole", "view")
    patch = {"roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "edit"}}
    assert "cannot change roleRef" in api.patch(path, patch).refused(422, "Invalid")["message"]


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"resources": ["pods"], "verbs": ["get"]}, "rules[0].apiGroups"),
        ({"apiGroups": [""], "verbs": ["get"]}, "rules[0].resources"),
        ({"apiGroups": [""], "resources": ["pods"], "verbs": []}, "rules[0].verbs"),
        ({"nonResourceURLs": ["/x"], "verbs": ["get"]}, "rules[0].nonResourceURLs"),
    ],
)
def test_rules_that_cannot_be(api: Api, namespace: str, name: str, rule: Body, field: str) -> None:
    answer = api.post(f"{RBAC}/namespaces/{namespace}/roles", {"metadata": {"name": name}, "rules": [rule]})
    assert field in [cause["field"] for cause in answer.refused(422, "Invalid")["details"]["causes"]]


# ------------------------------------------------------------------------------------------------------- reviews


def test_self_review_says_yes_and_why(account: Account) -> None:
    account.granted(PODS)
    review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": account.namespace}}}
    status = account.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review).expect(201)["status"]
    assert status["allowed"] is True
    assert status["reason"].startswith('RBAC: allowed by RoleBinding "')
    assert not account.may(verb="delete", resource="pods")
    assert not account.may(verb="get", resource="pods", subresource="log")


def test_review_of_somebody_else(account: Account, api: Api) -> None:
    account.granted(PODS)
    attributes = {"verb": "list", "resource": "pods", "namespace": account.namespace}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    body = {"spec": {"user": account.user, "resourceAttributes": attributes}}
    assert api.post(path, body).expect(201)["status"]["allowed"] is True
    account.post(path, body).refused(403, "Forbidden")
    body["spec"]["user"] = "nobody"
    assert api.post(path, body).expect(201)["status"]["allowed"] is False


def test_rules_review_lists_what_is_held(account: Account) -> None:
    account.granted(PODS)
    body = {"spec": {"namespace": account.namespace}}
    status = account.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", body).expect(201)["status"]
    rules: list[dict[str, Any]] = status["resourceRules"]
    assert any(rule["resources"] == ["pods"] and rule["verbs"] == ["get", "list"] for rule in rules)
    assert any("/version" in rule["nonResourceURLs"] for rule in status["nonResourceRules"])


# ------------------------------------------------------------------------------------------------- impersonation


def test_impersonation(account: Account, api: Api) -> None:
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    found = api.raw(
        "POST",
        path,
        data=json.dumps(body).encode(),
        Content_Type="application/json",
        Impersonate_User=account.user,
    )
    info = json.loads(found.data)["status"]["userInfo"]
    assert info["username"] == account.user
    assert f"system:serviceaccounts:{account.namespace}" in info["groups"]
    refused = account.request("POST", path, body, Impersonate_User="jane")
    assert refusal(refused) == (
        f'users "jane" is forbidden: User "{account.user}" cannot impersonate resource "users" in API group "" '
        "at the cluster scope"
    )


# ----------------------------------------------------------------------------------------------- streams, kubectl


@pytest.mark.since(kubernetes="1.35")
def test_websocket_exec_needs_get_and_create(account: Account, api: Api) -> None:
    """Kubernetes 1.35 and later ask for `create` on a websocket as well; recorded on 1.36.2."""
    path = f"/api/v1/namespaces/{account.namespace}/pods"
    spec = {"containers": [{"name": "main", "image": "image:1"}]}
    api.post(path, {"metadata": {"name": account.name}, "spec": spec}).expect(201)
    url = f"{path}/{account.name}/exec?container=main&command=true&stdout=true"
    assert 'cannot get resource "pods/exec"' in refusal(account.get(url))
    account.granted({"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get"]})
    answer = account.request("GET", url, Connection="Upgrade", Upgrade="websocket")
    assert refusal(answer) == f'pods "{account.name}" is forbidden: '
    account.granted({"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]})
    assert account.get(url).status != 403


@pytest.mark.since(kubernetes="1.26", kubevirt="1.1")
def test_kubevirt_subresources_are_rights(account: Account, sandbox: Sandbox) -> None:
    path = f"/apis/subresources.kubevirt.io/v1/namespaces/{account.namespace}/virtualmachineinstances/p/portforward/80"
    assert refusal(account.get(path)) == (
        f'virtualmachineinstances.subresources.kubevirt.io "p" is forbidden: User "{account.user}" cannot get resource '
        f'"virtualmachineinstances/portforward" in API group "subresources.kubevirt.io" in the namespace '
        f'"{account.namespace}"'
    )


@pytest.fixture
def kubectl_as(account: Account, kubeconfig: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """kubectl with the account's token."""
    if KUBECTL is None:
        skip(SkipReason.ENVIRONMENT_LACKS, "kubectl is not installed")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [str(KUBECTL), f"--kubeconfig={kubeconfig}", f"--cache-dir={tmp_path}", f"--as={account.user}"]
        line += [f"--namespace={account.namespace}", *arguments]
        return subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)

    return run


def test_kubectl_says_what_it_may(
    account: Account, kubectl_as: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    account.granted(PODS)
    assert kubectl_as("auth", "can-i", "list", "pods").stdout.strip() == "yes"
    assert kubectl_as("auth", "can-i", "delete", "pods").stdout.strip() == "no"
    listed = kubectl_as("auth", "can-i", "--list").stdout
    assert any(line.split()[0] == "pods" and "[get list]" in line for line in listed.splitlines() if line.strip())
    refused = kubectl_as("get", "secrets")
    assert refused.stderr.strip() == (
        f'Error from server (Forbidden): secrets is forbidden: User "{account.user}" cannot list resource "secrets" '
        f'in API group "" in the namespace "{account.namespace}"'
    )
