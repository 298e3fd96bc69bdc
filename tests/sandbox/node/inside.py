"""Running a scenario as the control plane of a real sandbox: what it observes comes back as JSON."""

import importlib
import json
from pathlib import Path
from typing import Any, cast

from conformance.sandbox.daemon import Options, start
from conformance.sandbox.state import StateDir
from conformance.sandbox.supervisor import SandboxContext

Observed = dict[str, Any]
"""What a scenario saw: JSON, whose shape its tests know."""


def observe(scenario: str, root: Path, state: StateDir, output: Path) -> Observed:
    """Start a sandbox whose control plane is the coroutine `scenario` (module:function here); what that returned."""
    options = Options(
        state_dir=state.path,
        root=root,
        entry="tests.sandbox.node.inside:run",
        options={"scenario": scenario, "output": str(output)},
    )
    start(options, lambda _stage, _fraction: None).stop()
    return cast(Observed, json.loads(output.read_text(encoding="utf-8")))


def _write(output: Path, observed: Observed) -> None:
    output.write_text(json.dumps(observed), encoding="utf-8")


async def run(context: SandboxContext) -> None:
    """The entry: run the scenario, write what it observed, be ready, wait for the end."""
    module, _colon, function = context.options["scenario"].partition(":")
    observed = await getattr(importlib.import_module(f"tests.sandbox.node.{module}"), function)(context)
    _write(Path(context.options["output"]), observed)
    context.ready(context.state.kubeconfig)
    await context.shutdown.wait()
