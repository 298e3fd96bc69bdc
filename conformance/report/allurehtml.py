"""Allure's own HTML from its results, where Allure 3 is installed (npm package `allure`); needs no Java, no network.

The page Allure writes loads an analytics script of its makers: it is taken out, so that a report never calls home.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

_SECONDS = 60
_ANALYTICS = (
    re.compile(r'<script[^>]*\ssrc="https?://[^"]*"[^>]*>\s*</script>'),
    re.compile(r"<script>\s*window\.dataLayer\b.*?</script>", re.DOTALL),
)


class AllureError(Exception):
    """Allure is there and did not render the results; the text is its own."""


def render_allure(results: Path, directory: Path) -> Path | None:
    """Render `results` as one self-contained page `directory/index.html`; None where no Allure 3 is on the PATH."""
    program = shutil.which("allure")
    if program is None or not _run(program, "--version").startswith("3."):
        return None
    _run(program, "awesome", str(results), "--single-file", "-o", str(directory))
    page = directory / "index.html"
    page.write_text(without_analytics(page.read_text(encoding="utf-8")), encoding="utf-8")
    return page


def without_analytics(page: str) -> str:
    """The page without scripts from elsewhere and without the one that configures them."""
    for pattern in _ANALYTICS:
        page = pattern.sub("", page)
    return page


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AllureError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise AllureError(f"{' '.join(command[:2])} ended with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()
