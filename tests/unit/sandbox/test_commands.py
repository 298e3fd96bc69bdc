"""What virt-handler makes of a launcher that takes its time, or ends, in the middle of a command."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

from conformance.sandbox.kubevirt import agent
from conformance.sandbox.kubevirt.agent import NodeAgent, Session
from conformance.sandbox.launcher.errors import CommandDeadlineError, DomainError, LauncherLostError

NO_AGENT = cast(NodeAgent, None)


def session(domain: str = "nostate") -> Session:
    """A session with a launcher whose domain is in this state."""

    async def state() -> str:
        return domain

    pod = SimpleNamespace(terminating=asyncio.Event())
    return Session(cast(Any, pod), cast(Any, None), cast(Any, SimpleNamespace(state=state)))


def order(told: Session, command: Any) -> Coroutine[Any, Any, None]:
    return NodeAgent.order(NO_AGENT, told, command)


def test_a_command_that_takes_too_long_goes_on_and_the_next_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    async def quick() -> None:
        done.append("quick")

    async def body() -> None:
        told, release = session(), asyncio.Event()

        async def slow() -> None:
            await release.wait()
            done.append("slow")
            raise DomainError("nobody hears of this")

        with monkeypatch.context() as patch:
            patch.setattr(agent, "COMMAND_SECONDS", 0.02)
            with pytest.raises(CommandDeadlineError) as caught:
                await order(told, slow)
        assert caught.value.sync_message == (
            "unknown error encountered sending command SyncVMI: "
            "rpc error: code = DeadlineExceeded desc = context deadline exceeded"
        )
        release.set()
        await order(told, quick)
        assert done == ["slow", "quick"]

    asyncio.run(body())


def test_a_launcher_without_a_domain_ends_when_it_is_told_to() -> None:
    async def body() -> None:
        told, forever = session(), asyncio.Event()
        asyncio.get_running_loop().call_later(0.02, told.pod.terminating.set)
        with pytest.raises(LauncherLostError) as caught:
            await order(told, forever.wait)
        assert caught.value.sync_message.endswith("code = Unavailable desc = error reading from server: EOF")
        assert told.lost

    asyncio.run(body())


def test_a_launcher_with_a_domain_finishes_its_command() -> None:
    async def body() -> None:
        told = session("running")
        told.pod.terminating.set()
        with pytest.raises(DomainError, match="refused"):
            await order(told, refuse)
        assert not told.lost

    async def refuse() -> None:
        await asyncio.sleep(0.02)
        raise DomainError("refused")

    asyncio.run(body())
