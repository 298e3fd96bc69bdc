"""Rendering Allure results by an installed Allure 3, here a stand-in that writes what the real one does."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.report.allurehtml import AllureError, render_allure, without_analytics

PAGE = """<html><script src="data:text/javascript;base64,QQ=="></script>
    <script async src="https://analytics.example/gtag/js?id=G-1"></script>
    <script>
        window.dataLayer = window.dataLayer || [];
        gtag('config', 'G-1', {"report": "awesome"});
    </script>
    <script async>window.allureReportData = {};</script></html>
"""
ALLURE = """#!/bin/sh
[ "$1" = --version ] && {{ echo {version}; exit 0; }}
[ "$1" = awesome ] && [ -d "$2" ] && [ "$3" = --single-file ] || {{ echo "no results" >&2; exit 1; }}
mkdir -p "$5" && cat >"$5/index.html" <<'PAGE'
{page}
PAGE
"""


@pytest.fixture
def allure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "allure"
    program.parent.mkdir()
    program.write_text(ALLURE.format(version="3.18.0", page=PAGE))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program


def test_the_page_is_written_and_calls_nobody(allure: Path, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    page = render_allure(tmp_path / "results", tmp_path / "html")
    assert page == tmp_path / "html" / "index.html"
    text = page.read_text()
    assert "http" not in text
    assert "dataLayer" not in text
    assert "allureReportData" in text


def test_an_older_allure_is_left_alone(allure: Path, tmp_path: Path) -> None:
    allure.write_text(ALLURE.format(version="2.34.0", page=PAGE))
    assert render_allure(tmp_path, tmp_path / "html") is None


def test_without_allure_there_is_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert render_allure(tmp_path, tmp_path / "html") is None


def test_a_failure_is_told_in_its_own_words(allure: Path, tmp_path: Path) -> None:
    with pytest.raises(AllureError, match="ended with status 1: no results"):
        render_allure(tmp_path / "absent", tmp_path / "html")


def test_scripts_of_the_page_itself_stay() -> None:
    assert without_analytics(PAGE).count("<script") == 2
