"""The process the user started: it provisions, gathers what the checks found, reports, and cleans up at every exit."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol

import pytest

from conformance.kube.errors import KubeError
from conformance.kube.outcome import EnvironmentFault
from conformance.model import DefinitionError, ModelError, load_binding, resolve
from conformance.plugin.paths import fixtures_directory
from conformance.plugin.progress import ProgressLine, Terminal
from conformance.plugin.provision import Provisioning
from conformance.plugin.reporting import print_table, write_all
from conformance.plugin.results import Finished, exit_status
from conformance.plugin.session import CHECKS, ELSEWHERE, HANDOFF, OUTCOME, ItemHooks
from conformance.plugin.settings import Settings
from conformance.plugin.verdicts import from_json

USAGE, ENVIRONMENT = 2, 3


class Worker(Protocol):
    """What we use of xdist's ``WorkerController``."""

    workerinput: dict[str, object]
    workeroutput: dict[str, object]


class ControllerSession(ItemHooks):
    """One run from provisioning to clean-up. ``items`` it runs itself unless xdist's workers do."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        super().__init__(config, settings)
        self._terminal = Terminal(config)
        self._progress = ProgressLine(self._terminal)
        self._provisioning: Provisioning | None = None
        self._leftovers: list[str] = []
        self._kept = ""
        self._remark = ""

    # -- before the checks ----------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Cluster and binding, before xdist starts its workers."""
        signal.signal(signal.SIGTERM, _interrupt)
        self._terminal.quiet()
        try:
            binding = load_binding(resolve(self.settings.binding, fixtures_directory()))
            for warning in binding.warnings:
                self._terminal.line(str(warning))
            self._provisioning = Provisioning(self.settings, binding, self._terminal.step)
            handoff = self._provisioning.up()
            self.join(handoff, binding)
            if self.results is not None:
                self._progress.applicable = len(self.results.applicable())
        except (DefinitionError, ModelError) as error:
            self._give_up(str(error), USAGE)
        except (EnvironmentFault, KubeError, OSError) as error:
            self._give_up(f"{type(error).__name__}: {error}", ENVIRONMENT)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Worker) -> None:
        """Hand the run to an xdist worker."""
        provisioning = self._provisioning
        if provisioning is not None and provisioning.handoff is not None:
            node.workerinput[HANDOFF] = provisioning.handoff.to_json()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: object) -> object:
        """Keep the checks of a directory in one worker, unless the user chose another distribution than the default."""
        if config.getoption("dist") != "load":
            return None
        from conformance.plugin.scheduling import family_scheduling  # only where xdist is installed

        return family_scheduling(config, log)

    def pytest_report_header(self) -> list[str]:
        """What this run is about."""
        handoff = self._provisioning.handoff if self._provisioning else None
        if handoff is None:
            return []
        return [
            f"binding: {handoff.binding}",
            f"cluster: {handoff.mode}, Kubernetes {handoff.kubernetes}, KubeVirt {handoff.kubevirt}, "
            f"nodes {', '.join(handoff.nodes)}, timeouts x{handoff.timeout_factor:g}",
            f"report: {self.settings.report_dir}",
        ]

    # -- while the checks run -------------------------------------------------------------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """The items of this process are known."""
        self._progress.start(len([item for item in session.items if item.get_closest_marker("requirement")]))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Worker, ids: list[str]) -> None:
        """The items of the workers are known; all collect the same."""
        self._progress.start(len(ids))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Worker, error: object) -> None:
        """A worker has ended: which requirements have a check."""
        found = getattr(node, "workeroutput", {}).get(CHECKS, [])
        self.checks = sorted({*self.checks, *found})
        if self.results is not None:
            self.results.elsewhere |= frozenset(getattr(node, "workeroutput", {}).get(ELSEWHERE, []))

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """No letters for checks: they get a line of their own when they are done."""
        if not isinstance(report, pytest.TestReport) or "requirement" not in report.keywords:
            return None
        category = "error" if report.failed and report.when != "call" else report.outcome
        return (category if report.when == "call" or report.outcome != "passed" else "", "", "")

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in what a check found."""
        text = dict(report.user_properties).get(OUTCOME)
        if report.when != "teardown" or text is None or self.results is None:
            return
        stamp = json.loads(str(text))
        outcome = from_json(stamp["outcome"])
        worker = str(getattr(report, "worker_id", "main"))
        self.results.add(Finished(stamp["nodeid"], worker, stamp["started"], outcome))
        self._progress.finished(outcome)

    # -- after them -----------------------------------------------------------------------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Report, then clean up; the session's exit status becomes the binding's."""
        if self.results is not None:
            if self.settings.upstream and self._provisioning is not None:
                self.results.upstream = self._provisioning.upstream()
            report = self.results.report(self.checks)
            allure = getattr(session.config.option, "allure_report_dir", None)
            write_all(report, self.results, self.settings.report_dir, Path(allure) if allure else None)
            status = exit_status(report)
            usual = {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
            if self.settings.shard is not None:
                usual.add(pytest.ExitCode.NO_TESTS_COLLECTED)  # there may be more shards than groups of checks
            others_failed = exitstatus not in usual
            session.exitstatus = max(status, ENVIRONMENT) if others_failed and status != 1 else status
            if status and self._provisioning is not None:
                self._remark = self._provisioning.save_logs()
            if self.settings.keep_on_failure and status and self._provisioning is not None:
                self._kept = self._provisioning.keep()
        self._clean_up()

    def pytest_terminal_summary(self) -> None:
        """The table, and where to read on."""
        if self.results is None:
            return
        print_table(self.results.report(self.checks))
        self._terminal.line(f"report: {self.settings.report_dir}")
        if self._remark:
            self._terminal.line(self._remark)
        if self._kept:
            self._terminal.line(self._kept)
        for leftover in self._leftovers:
            self._terminal.line(f"left behind: {leftover}", "red")

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """The last chance, when the session ended before it began."""
        self._clean_up()

    def _clean_up(self) -> None:
        if self._provisioning is None or self._kept:
            return
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._leftovers = self._provisioning.down()
            self._provisioning = None
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _give_up(self, text: str, status: int) -> NoReturn:
        self._clean_up()
        self._terminal.line(text, "red")
        pytest.exit("nothing was judged", returncode=status)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM ends a run like Ctrl-C: fixtures are torn down, everything is undone."""
    raise KeyboardInterrupt
