"""Errors of the stream server as Kubernetes Status answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
from aiohttp import web


class StatusError(Exception):
    """Answered as a Status of that HTTP code, reason and message; `causes` are the messages of its details."""

    def __init__(self, code: int, reason: str, message: str, causes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.causes = code, reason, message, tuple(causes)


def status_response(error: StatusError) -> web.Response:
    body: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": error.message,
        "reason": error.reason,
        "code": error.code,
    }
    if error.causes:
        body["details"] = {"causes": [{"message": cause} for cause in error.causes]}
    return web.Response(status=error.code, body=orjson.dumps(body), content_type="application/json")


@web.middleware
async def answer_status_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn a `StatusError` into its answer."""
    try:
        return await handler(request)
    except StatusError as error:
        return status_response(error)
