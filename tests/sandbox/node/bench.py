"""Containers run one after the other inside a sandbox; what they saw and said is judged by the tests."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from conformance.sandbox.launcher.container import (
    Container,
    ContainerConfig,
    ContainerError,
    Dns,
    Image,
    Mount,
    Terminal,
)
from conformance.sandbox.network.podnet import PodRef
from conformance.sandbox.network.pods import Json
from conformance.sandbox.supervisor import SandboxContext
from tests.sandbox.node.scenarios import network


async def containers(context: SandboxContext) -> Json:
    """One container after the other: identity, files, signals, exec, terminals, failures."""
    bench = await Bench.prepare(context)
    seen: Json = {}
    script = "id -u; id -g; grep Cap /proc/self/status; grep NoNew /proc/self/status; env | sort; hostname"
    seen["plain"] = await bench.output(
        script,
        uid=107,
        gid=107,
        capabilities=("CAP_NET_BIND_SERVICE",),
        no_new_privileges=True,
        env={"COLOUR": "blue"},
        hostname="vm",
    )
    script = "cat /etc/hosts /etc/resolv.conf; ls /dev /extra; cat /extra/file; touch /extra/x || echo read-only"
    extra = make_volume(context.state.path / "extra")
    seen["files"] = await bench.output(
        script,
        addresses=("10.244.1.9",),
        dns=Dns(("10.96.0.10",), ("default.svc.cluster.local",), ("ndots:5",)),
        mounts=(Mount(str(extra), "/extra", read_only=True),),
    )
    seen["privileged"] = await bench.output(
        "grep CapEff /proc/self/status; ls /dev/net/tun; ip link add t0 type bridge && echo made",
        image=Image("launcher", privileged=True),
    )
    seen["layers"] = await bench.layers()
    seen["exec"] = await bench.executions()
    seen["failures"] = await bench.failures()
    seen["left"] = names_in(bench.directory)
    seen["mounts"] = mounts_below("/containers/")
    return seen


def make_volume(directory: Path) -> Path:
    directory.mkdir()
    (directory / "file").write_text("from the volume\n", encoding="utf-8")
    return directory


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def mounts_below(part: str) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return [line.split()[4] for line in lines if part in line]


class Bench:
    """A pod on the first node to run containers in."""

    def __init__(self, context: SandboxContext, netns: str, pod: PodRef) -> None:
        self.context = context
        self.runtime = context.runtimes[context.nodes[0].name]
        self.directory = self.runtime.directory
        self.netns = netns
        self.pod = pod
        self.count = 0

    @classmethod
    async def prepare(cls, context: SandboxContext) -> "Bench":
        pod = PodRef("default", "bench", "uid-bench")
        result = await network(context.nodes[0], {}).setup(pod, {})
        return cls(context, result.netns, pod)

    async def start(self, *argv: str, image: Image | None = None, **more: Any) -> Container:
        self.count += 1
        log = self.context.state.log / f"container-{self.count}"
        config = ContainerConfig(self.pod, "c", image or Image("plain"), self.netns, log, argv)
        return await self.runtime.start(replace(config, **more))

    async def output(self, script: str, **more: Any) -> Json:
        begun = time.monotonic()
        container = await self.start("sh", "-c", f"{{ {script}; }} 2>&1; exit 3", **more)
        seconds = time.monotonic() - begun
        status = await container.wait()
        text = read(container.config.log)
        await container.delete()
        return {"status": status, "text": text, "seconds": seconds}

    async def layers(self) -> Json:
        """A layer hides the base, a second layer hides the first, and what a container writes reaches neither."""
        lower, upper = (self.context.state.path / name for name in ("lower", "upper,odd:name"))
        for layer, text in ((lower, "lower"), (upper, "upper")):
            (layer / "opt").mkdir(parents=True)
            (layer / "opt" / "which").write_text(text, encoding="utf-8")
        (lower / "opt" / "only-lower").write_text("here", encoding="utf-8")
        image = Image("layered", layers=(lower, upper), command=("cat", "/opt/which", "/opt/only-lower"))
        container = await self.start(image=image)
        status = await container.wait()
        text = read(container.config.log)
        await container.delete()
        written = await self.output("echo changed > /opt/which; cat /opt/which", image=image)
        return {"status": status, "text": text, "written": written["text"], "kept": read(upper / "opt/which")}

    async def executions(self) -> Json:
        container = await self.start("sleep", "infinity", env={"COLOUR": "red"})
        process = await container.exec(["sh", "-c", "cat; echo $COLOUR; echo words >&2; exit 5"], stdin=True)
        stdout, stderr = await process.communicate(b"typed ")
        missing = await container.exec(["no-such-program"])
        _none, words = await missing.communicate()
        terminal = await container.exec(["sh", "-c", "test -t 0 && echo ready; read x; stty size; exit 6"], tty=True)
        assert isinstance(terminal, Terminal)
        assert terminal.stdin is not None
        assert terminal.stdout is not None
        greeting = await terminal.stdout.readline()
        terminal.resize(100, 40)
        terminal.stdin.write(b"go\n")
        answer = await terminal.stdout.read()
        seen: Json = {
            "stdout": stdout.decode(),
            "stderr": stderr.decode(),
            "status": process.returncode,
            "missing": [missing.returncode != 0, words.decode()],
            "terminal": [greeting.decode(), answer.decode(), await terminal.wait()],
            "running": container.exit_code,
        }
        await container.kill(15)
        await container.kill(9)
        seen["killed"] = await container.wait()
        try:
            await container.exec(["true"])
        except ContainerError as error:
            seen["after the end"] = error.reason
        await container.delete()
        await container.delete()
        return seen

    async def failures(self) -> Json:
        reasons: Json = {}
        for argv in ("/no/such/program", "no-such-program", "/etc/passwd"):
            try:
                await self.start(argv)
            except ContainerError as error:
                reasons[argv] = error.reason
        return reasons
