"""The runtime configuration of a container."""

from pathlib import Path
from typing import Any

from conformance.sandbox.images import Image, Mount
from conformance.sandbox.launcher.oci import ContainerConfig, Dns, oci_config, write_network_files
from conformance.sandbox.network.pods import PodRef
from conformance.sandbox.network.syscalls import effective_capabilities

POD = PodRef("default", "launcher", "uid")


def config(**more: Any) -> ContainerConfig:
    fields: dict[str, Any] = {"image": Image("x", command=("/run-me",), env={"A": "image", "B": "image"}), **more}
    return ContainerConfig(pod=POD, name="c", netns="n", log=Path("/log"), **fields)


def document(container: ContainerConfig) -> Any:
    return oci_config(container, Path("/rootfs"), Path("/netns"), Path("/started"))


def test_identity_and_capabilities() -> None:
    process = document(config(uid=107, gid=107, capabilities=("CAP_NET_BIND_SERVICE",), no_new_privileges=True))[
        "process"
    ]
    assert process["user"] == {"uid": 107, "gid": 107}
    assert process["noNewPrivileges"]
    assert process["capabilities"] == {
        name: ["CAP_NET_BIND_SERVICE"] for name in ("bounding", "effective", "permitted")
    }


def test_the_containers_environment_and_command_win_over_the_images() -> None:
    process = document(config(env={"B": "pod"}))["process"]
    assert process["args"] == ["/run-me"]
    assert {"A=image", "B=pod", "HOSTNAME=launcher"} <= set(process["env"])
    assert document(config(argv=("/other", "x")))["process"]["args"] == ["/other", "x"]


def test_only_a_privileged_image_gets_the_tun_device_and_a_writable_sys() -> None:
    plain, privileged = document(config()), document(config(image=Image("l", privileged=True)))
    assert plain["linux"]["devices"] == []
    assert privileged["linux"]["devices"][0]["path"] == "/dev/net/tun"
    assert "/proc/sys" in plain["linux"]["readonlyPaths"]
    assert privileged["linux"]["readonlyPaths"] == []
    sysfs = {
        name: next(m for m in d["mounts"] if m["destination"] == "/sys")
        for name, d in (("p", plain), ("q", privileged))
    }
    assert "ro" in sysfs["p"]["options"]
    assert "ro" not in sysfs["q"]["options"]


def test_mounts_come_last_and_in_order() -> None:
    mounts = document(config(mounts=(Mount("/a", "/x"), Mount("/b", "/x/y", read_only=True))))["mounts"]
    assert mounts[-2:] == [
        {"destination": "/x", "type": "bind", "source": "/a", "options": ["rbind", "rw"]},
        {"destination": "/x/y", "type": "bind", "source": "/b", "options": ["rbind", "ro"]},
    ]


def test_the_kubelets_files(tmp_path: Path) -> None:
    write_network_files(config(addresses=("10.0.0.1", "fd00::1"), hostname="vm", dns=Dns(("10.96.0.10",))), tmp_path)
    hosts = (tmp_path / "etc" / "hosts").read_text(encoding="utf-8")
    assert hosts.startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
    assert hosts.endswith("10.0.0.1\tvm\nfd00::1\tvm\n")
    assert (tmp_path / "etc" / "hostname").read_text(encoding="utf-8") == "vm\n"
    assert (tmp_path / "etc" / "resolv.conf").read_text(encoding="utf-8") == "nameserver 10.96.0.10\n"


def test_capabilities_are_read_from_the_kernels_mask() -> None:
    assert effective_capabilities("Name:\tx\nCapEff:\t0000000000201400\n") == (
        "CAP_NET_BIND_SERVICE",
        "CAP_NET_ADMIN",
        "CAP_SYS_ADMIN",
    )
