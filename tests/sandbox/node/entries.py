"""Control planes for the tests of the life cycle: each does one thing that a sandbox must survive or report."""

import asyncio
import threading

from conformance.sandbox.launcher.container import ContainerConfig, Image
from conformance.sandbox.network.podnet import PodNetwork, PodRef
from conformance.sandbox.supervisor import SandboxContext


async def serve(context: SandboxContext) -> None:
    """Hold all that a sandbox can hold (a pod with its network, a container, a daemon on a node) until the end."""

    async def no_definitions(_namespace: str, _name: str) -> None:
        return None

    node = context.nodes[0]
    pod = PodRef("default", "resident", "uid-resident")
    network = await PodNetwork(node, no_definitions).setup(pod, {})
    log = context.state.log / "resident.log"
    image = Image("resident", command=("sleep", "infinity"))
    await context.runtimes[node.name].start(ContainerConfig(pod, "resident", image, network.netns, log))
    await node.spawn("sleep", "infinity")
    context.progress("api", 0.5)
    context.ready(context.state.kubeconfig)
    await context.shutdown.wait()


async def fail(_context: SandboxContext) -> None:
    """Fail while starting."""
    raise RuntimeError("the control plane has a fault")


async def never_ready(context: SandboxContext) -> None:
    """Run, and never say so."""
    await context.shutdown.wait()


async def ignore_shutdown(context: SandboxContext) -> None:
    """Do not end when asked."""
    context.ready(context.state.kubeconfig)
    await asyncio.Event().wait()


async def block_the_loop(context: SandboxContext) -> None:
    """Hang so badly that not even a signal handler runs."""
    context.ready(context.state.kubeconfig)
    threading.Event().wait()
