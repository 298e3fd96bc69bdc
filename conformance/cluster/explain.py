"""The failures that people meet with KubeVirt in kind: the words by which to know each, what it means, and the fix.

Sources: kind's known issues, and the issues of KubeVirt, Multus and macvtap-cni named with each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """One failure. ``pattern`` is searched in what was said, ``source`` is where it is described."""

    name: str
    pattern: str
    meaning: str
    fix: str
    source: str

    def __str__(self) -> str:
        return f"{self.meaning}\n    fix: {self.fix}\n    see: {self.source}"


KNOWN: tuple[Known, ...] = (
    Known(
        "inotify",
        r"too many open files|inotify",
        "the host's inotify limits are used up",
        "sysctl -w fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288",
        "kind known issues; kubevirt #10977",
    ),
    Known(
        "engine not running",
        r"Cannot connect to the Docker daemon|Is the docker daemon running|connect: connection refused.*podman",
        "the container engine does not run",
        "systemctl start docker, or give --kind engine=podman",
        "kind quick start",
    ),
    Known(
        "engine not allowed",
        r"permission denied.*docker\.sock|docker\.sock.*permission denied",
        "this user may not use the container engine",
        "add the user to the group docker, or run as root",
        "kind quick start",
    ),
    Known(
        "name taken",
        r"node\(s\) already exist for a cluster with the name",
        "a cluster of that name exists",
        "binding-conformance down --cluster kind, or give --kind name=OTHER",
        "kind create cluster",
    ),
    Known(
        "rootless",
        r"rootless provider requires|Delegate=yes",
        "a rootless engine without the delegations that kind needs; KubeVirt needs a rootful one anyway",
        "use docker, or podman as root",
        "kind rootless guide; kubevirt needs privileged pods",
    ),
    Known(
        "disk full",
        r"no space left on device|DiskPressure|disk[- ]pressure",
        "the disk is full",
        "free some (docker system prune), 20 GiB are needed",
        "kind known issues",
    ),
    Known(
        "mount propagation",
        r"is mounted on .* but it is not a (shared|slave)|not a shared (or slave )?mount",
        "the host's /dev is no shared mount: tap devices would not appear in the nodes",
        "mount --make-rshared / on the host",
        "macvtap-cni #39; kubevirt #10901",
    ),
    Known(
        "no IPv6",
        r"(?i)ipv6 is (not enabled|disabled)|no IPv6|cannot .*ip6tables|ip6tables.*(fail|not found)",
        "the host or the engine's network has no IPv6",
        "enable it, or use --kind ip-family=ipv4",
        "kind known issues",
    ),
    Known(
        "node did not boot",
        r"could not find a log line that matches",
        "a node's systemd did not come up: mostly the inotify limits or the cgroup set-up of the host",
        "raise the inotify limits; look at the exported logs",
        "kind known issues",
    ),
    Known(
        "registry unreachable",
        r"no such host|i/o timeout|TLS handshake timeout|connection reset by peer|dial tcp .*(refused|unreachable)"
        r"|failed to pull image.*node|toomanyrequests",
        "a registry cannot be reached from here",
        "give a mirror (--kind mirror=HOST=URL) or a bundle (--kind bundle=DIR, made by `images save` elsewhere)",
        "kind: private registries, working offline",
    ),
    Known(
        "image missing",
        r"ErrImagePull|ImagePullBackOff|ErrImageNeverPull|manifest unknown|pull access denied"
        r"|repository does not exist",
        "an image cannot be pulled: an unknown name, or a registry that the nodes have no certs.d entry for",
        "check the name; load the image (--kind bundle=DIR) or name its registry with --kind mirror=HOST=URL",
        "kind: local registry",
    ),
    Known(
        "multus memory",
        r"(?s)kube-multus.*OOMKilled|OOMKilled.*kube-multus",
        "the Multus daemon was killed for lack of memory",
        "raise its limit (we deploy it with 512Mi), or use the thin one: --kind multus=thin",
        "multus #1346, #1349, #1416",
    ),
    Known(
        "multus sandbox",
        r"(?s)FailedCreatePodSandBox.*[Mm]ultus|plugin type=\"multus",
        "Multus keeps pods from being created",
        "look at the log of its pod on that node; the delegate it calls must exist in /opt/cni/bin there",
        "multus troubleshooting",
    ),
    Known(
        "sandbox",
        r"FailedCreatePodSandBox",
        "a CNI plugin keeps pods from being created",
        "the event names plugin and reason; its binary must exist in /opt/cni/bin on that node",
        "kubelet events",
    ),
    Known(
        "vhost-net",
        r"failed to set up vhost-net device|/dev/vhost-net",
        "KVM is used and /dev/vhost-net is missing",
        "modprobe vhost_net on the host",
        "kubevirt network set-up",
    ),
    Known(
        "tap device",
        r"lstat /dev/tap\d+|/dev/tap\d+: (no such file|permission denied)",
        "the tap device of a macvtap does not appear in the node",
        "make the cluster with the /dev mount of kind-config/ (propagation HostToContainer)",
        "macvtap-cni #39, #137; kubevirt #10901",
    ),
    Known(
        "apparmor",
        r"(?i)apparmor.*denied|libvirt.*permission denied|virtqemud.*permission denied",
        "an AppArmor profile of the host applies to libvirt in the pods",
        "aa-disable the host's libvirtd and qemu profiles, or use another host",
        "kubevirt #7463, #7638, #9588",
    ),
    Known(
        "same host",
        r"Attempt to migrate guest to the same host",
        "the nodes have one product_uuid: kind's hook that gives each its own is lost",
        "do not replace containerd's base_runtime_spec in the kind configuration",
        "kind #1027; kubevirtci #621; kubevirt #12305",
    ),
    Known(
        "no virtualisation",
        r"host doesn't support (hardware )?virtuali[sz]ation|KVM is not available|kvm.*not supported by (the )?CPU"
        r"|Insufficient devices\.kubevirt\.io/kvm",
        "guests shall run on KVM and the nodes have none",
        "allow nested virtualisation, or let KubeVirt emulate (useEmulation)",
        "kubevirt: software emulation",
    ),
    Known(
        "too slow",
        r"Insufficient (cpu|memory)",
        "the nodes have no room for a pod",
        "give the engine more memory or cores, or end other clusters",
        "kubernetes scheduling",
    ),
)


def explain(text: str) -> Known | None:
    """The failure that a text speaks of, the most specific first; None for one nobody has written down."""
    return next((known for known in KNOWN if re.search(known.pattern, text)), None)
