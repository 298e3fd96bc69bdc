"""Who may speak to the API, and what admission does with writes."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from kubernetes import client

from tests.contract.conftest import Widgets
from tests.contract.harness import Answer, Api, Body, Sandbox, eventually

pytestmark = pytest.mark.since(kubernetes="1.26")


def anonymous(api: Api, path: str, token: str = "", method: str = "GET", body: object = None) -> Answer:
    """A request without the client's certificate, with a bearer token if one is given."""
    pool = urllib3.PoolManager(ca_certs=api.client.configuration.ssl_ca_cert)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = None if body is None else json.dumps(body)
    found = pool.request(method, api.host + path, headers={**headers, "Content-Type": "application/json"}, body=data)
    return Answer(found.status, json.loads(found.data), found.headers)


def test_nobody_in_particular_is_refused(api: Api) -> None:
    assert anonymous(api, "/api/v1/namespaces").status in (401, 403)


def test_wrong_token_is_unauthorized(api: Api) -> None:
    anonymous(api, "/api/v1/namespaces", "wrong").refused(401, "Unauthorized")


def test_administrator_may_do_everything(api: Api, namespace: str) -> None:
    make: Callable[[Any], Any] = client.AuthorizationV1Api
    attributes = {"verb": "create", "resource": "pods", "namespace": namespace}
    review = make(api.client).create_self_subject_access_review({"spec": {"resourceAttributes": attributes}})
    assert review.status.allowed is True


def who_is(api: Api, token: str) -> Body:
    """The user that the API sees behind a token."""
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    found = anonymous(api, path, token, "POST", {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    info: Body = found.expect(201)["status"]["userInfo"]
    return info


def test_requested_token_speaks_for_the_account(api: Api, namespace: str, name: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    api.post(path, {"metadata": {"name": name}}).expect(201)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    status = api.post(f"{path}/{name}/token", request).expect(201)["status"]
    user = who_is(api, status["token"])
    assert user["username"] == f"system:serviceaccount:{namespace}:{name}"
    assert f"system:serviceaccounts:{namespace}" in user["groups"]
    api.delete(f"{path}/{name}").expect(200)
    assert anonymous(api, "/api/v1/namespaces", status["token"]).status == 401


def test_token_secret_is_filled(api: Api, namespace: str, name: str) -> None:
    path = f"/api/v1/namespaces/{namespace}"
    api.post(f"{path}/serviceaccounts", {"metadata": {"name": name}}).expect(201)
    metadata = {"name": name, "annotations": {"kubernetes.io/service-account.name": name}}
    secret = {"metadata": metadata, "type": "kubernetes.io/service-account-token"}
    api.post(f"{path}/secrets", secret).expect(201)
    eventually("a token", lambda: "token" in (api.get(f"{path}/secrets/{name}").expect(200).get("data") or {}))
    data = api.get(f"{path}/secrets/{name}").expect(200)["data"]
    token = base64.b64decode(data["token"]).decode()
    assert who_is(api, token)["username"] == f"system:serviceaccount:{namespace}:{name}"
    assert b"BEGIN CERTIFICATE" in base64.b64decode(data["ca.crt"])


def test_token_file_names_users(api: Api, sandbox: Sandbox) -> None:
    user = who_is(api, "reader-token")
    assert (user["username"], user["uid"]) == ("reader", "reader-uid")
    assert user["groups"] == ["readers", "more", "system:authenticated"]


def test_kubeconfig_is_private(sandbox: Sandbox) -> None:
    assert stat.S_IMODE(sandbox.kubeconfig.stat().st_mode) == 0o600


def ordered(widgets: Widgets, name: str, order: str) -> Body:
    """A widget that orders the admission function to do something."""
    return widgets.body(name, annotations={"hook.example.com/do": order})


def test_admission_can_refuse_with_causes(api: Api, sandbox: Sandbox, widgets: Widgets, name: str) -> None:
    refusal = api.post(widgets.path, ordered(widgets, name, "deny")).refused(422, "Invalid")
    assert refusal["message"] == 'admission webhook "hook.example.com" denied the request: size is not liked'
    cause = {"reason": "FieldValueInvalid", "message": "size is not liked", "field": "spec.size"}
    assert refusal["details"]["causes"] == [cause]


def test_admission_refusal_may_have_no_reason(api: Api, sandbox: Sandbox, widgets: Widgets, name: str) -> None:
    body = api.post(widgets.path, ordered(widgets, name, "deny-CREATE")).expect(400)
    assert "reason" not in body
    assert body["message"].endswith("no CREATE")


def test_admission_sees_updates_and_deletions(api: Api, sandbox: Sandbox, widgets: Widgets, name: str) -> None:
    path = f"{widgets.path}/{name}"
    api.post(widgets.path, ordered(widgets, name, "deny-UPDATE")).expect(201)
    assert api.patch(path, {"spec": {"size": 2}}).expect(400)["message"].endswith("no UPDATE")
    api.post(widgets.path, ordered(widgets, f"{name}-b", "deny-DELETE")).expect(201)
    assert api.delete(f"{path}-b").expect(400)["message"].endswith("no DELETE")


def test_admission_can_change_and_warn(api: Api, sandbox: Sandbox, widgets: Widgets, name: str) -> None:
    found = api.post(widgets.path, ordered(widgets, name, "describe"))
    assert found.expect(201)["metadata"]["labels"] == {"seen-by": "sandbox-admin"}
    assert found.headers["Warning"] == f'299 - "CREATE sandbox-admin widgets {widgets.namespace}"'


def test_admission_can_look_up(api: Api, sandbox: Sandbox, widgets: Widgets, name: str) -> None:
    assert api.post(widgets.path, ordered(widgets, name, "look")).expect(201)["spec"]["mode"] == "b"
