"""Why something did not hold: the fault of the binding or of the environment.

Outcomes are types, so that a lost connection can never read as a fault of the binding under test. The runner maps
:class:`NonConformant` (and a plain ``AssertionError`` of a check) to the verdict ``non-conformant`` and everything
else to ``inconclusive``.
"""

from __future__ import annotations

from collections.abc import Collection

from conformance.kube.manifest import Ref


class NonConformant(Exception):
    """What the requirement demands was observed not to hold. The message says what was seen and what was wanted."""


class EnvironmentFault(Exception):
    """The cluster, the guest image, the client or this machine failed; nothing is known about the binding."""


class Inconclusive(EnvironmentFault):
    """A check raises it when it cannot decide: a precondition that is no promise of the binding does not hold.

    ``about`` are the objects that show why, collected with the evidence.
    """

    def __init__(self, message: str, about: Collection[Ref] = ()) -> None:
        super().__init__(message)
        self.about = tuple(about)
