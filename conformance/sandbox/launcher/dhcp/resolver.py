"""Name servers and search domains of the pod, which are passed on to the guest."""

from dataclasses import dataclass

_FALLBACK = "8.8.8.8"


@dataclass(frozen=True)
class Resolver:
    """`nameservers` are addresses of either family, `search` the domains the guest is told, most wanted first."""

    nameservers: tuple[str, ...]
    search: tuple[str, ...]

    @property
    def domain(self) -> str:
        """The longest search domain: what clients that know only one are told."""
        return max(self.search, key=len, default="")

    def with_subdomain(self, subdomain: str) -> "Resolver":
        """With the VM's own domain in front, if it has one that is not there yet."""
        if not subdomain or not self.domain or self.domain.startswith(f"{subdomain}."):
            return self
        return Resolver(self.nameservers, (f"{subdomain}.{self.domain}", *self.search))


def read_resolv_conf(text: str) -> Resolver:
    """The resolver that a resolv.conf describes; without a name server a well-known one, as KubeVirt has it."""
    nameservers: list[str] = []
    search: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["nameserver"] and len(words) > 1:
            nameservers.append(words[1])
        elif words[:1] == ["search"]:
            search = [word.lower() for word in words[1:]]
    return Resolver(tuple(nameservers) or (_FALLBACK,), tuple(search))
