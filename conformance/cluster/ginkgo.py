"""Reads the JUnit file that Ginkgo writes, as KubeVirt's conformance suite leaves it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from conformance.model import UpstreamCase, UpstreamResult, UpstreamSuite

_BAD = ("failure", "error")


class NotJUnit(ValueError):
    """A text that is no JUnit file."""


def parse_junit(text: str, image: str) -> UpstreamSuite:
    """The suite in a JUnit file as Ginkgo writes it. Raises NotJUnit, also for a file without a single case.

    Setup nodes (``[BeforeSuite]`` and the like) count only where they failed: then nothing behind them ran.
    """
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise NotJUnit(f"not XML: {error}") from error
    cases = list(_cases(root))
    if not cases:
        raise NotJUnit("there is no testcase in it")
    ran = tuple(case for case in cases if case.result is not UpstreamResult.SKIPPED)
    seconds = float(root.get("time") or sum(case.seconds for case in cases))
    return UpstreamSuite(image, seconds, ran, skipped=len(cases) - len(ran))


def _cases(root: ET.Element) -> Iterator[UpstreamCase]:
    for case in root.iter("testcase"):
        name = case.get("name", "")
        bad = next((case.find(kind) for kind in _BAD if case.find(kind) is not None), None)
        if bad is None and name.startswith("[") and not name.startswith("[It]"):
            continue
        result = UpstreamResult.PASSED
        if bad is not None:
            result = UpstreamResult.FAILED
        elif case.find("skipped") is not None:
            result = UpstreamResult.SKIPPED
        message = "" if bad is None else (bad.get("message") or bad.text or "it failed without a word")
        yield UpstreamCase(name.removeprefix("[It] "), result, float(case.get("time") or 0.0), message)
