"""The hooks of every process that runs checks: an xdist worker, or the one process there is."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from conformance.evidence.collector import Bundle
from conformance.kube.manifest import Ref
from conformance.kube.outcome import Inconclusive
from conformance.model import Binding, load_binding
from conformance.model.capability import unmet
from conformance.plugin.items import evidence_of, record_of, requirement_of, terms_of
from conformance.plugin.results import Results
from conformance.plugin.run import Handoff, Run
from conformance.plugin.settings import Settings
from conformance.plugin.sharding import Shard
from conformance.plugin.verdicts import to_json

OUTCOME = "conformance"
HANDOFF = "conformance_handoff"
CHECKS = "conformance_checks"
ELSEWHERE = "conformance_elsewhere"
BYSTANDERS = frozenset({"client_pods", "pod_network"})
"""The fixtures with pods on the pod network that the binding has no part in."""

_RUN = pytest.StashKey[Run]()


def current_run(config: pytest.Config) -> Run:
    """The run of this session. Raises pytest.UsageError when there is none."""
    run = config.stash.get(_RUN, None)
    if run is None:
        raise pytest.UsageError("there is no run: give --binding")
    return run


def attach_text(text: str, name: str) -> None:
    """Attach a text to the current Allure test, if Allure is there."""
    try:
        import allure
    except ImportError:
        return
    allure.attach(text, name, allure.attachment_type.TEXT)


class ItemHooks:
    """What every process that runs checks does: select, judge, collect evidence."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config, self.settings = config, settings
        self.checks: list[str] = []
        self.results: Results | None = None

    def join(self, handoff: Handoff, binding: Binding) -> None:
        """Take part in a run."""
        process = getattr(self.config, "workerinput", {}).get("workerid", "main")
        self.config.stash[_RUN] = Run(handoff, binding, process)
        self.results = Results(binding, handoff, self.settings)

    @pytest.hookimpl
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out the checks of requirements that do not apply; the report says why.

        A requirement has a check where one of its parts is for bindings of this kind.
        """
        if self.results is None:
            self.checks = sorted({requirement_of(item) for item in items} - {""})
            return
        wanted = self.results.applicable()
        capabilities = current_run(config).binding.capabilities
        concerned = [item for item in items if not unmet(terms_of(item), capabilities)]
        self.checks = sorted({requirement_of(item) for item in concerned} - {""})
        left_out = [
            item
            for item in items
            if requirement_of(item) and (requirement_of(item) not in wanted or unmet(terms_of(item), capabilities))
        ]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]
        items.sort(key=lambda item: item.get_closest_marker("disruptive") is not None)
        if self.settings.shard is not None:
            self._leave_to_others(self.settings.shard, self.results, config, items)

    def _leave_to_others(self, shard: Shard, results: Results, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out the checks of other shards."""
        mine = shard.mine((item.nodeid, requirement_of(item)) for item in items if requirement_of(item))
        others = [item for item in items if requirement_of(item) and item.nodeid not in mine]
        results.elsewhere = frozenset(requirement_of(item) for item in others)
        if others:
            config.hook.pytest_deselected(items=others)
            items[:] = [item for item in items if item not in others]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Judge each phase; the report of the last one carries the outcome to the controller."""
        report = yield
        if requirement_of(item):
            record = record_of(item)
            record.add(call.when, call, self._alibi(item))
            if report.failed:
                error = call.excinfo.value if call.excinfo else None
                self._collect(item, report, error.about if isinstance(error, Inconclusive) else ())
                current_run(self.config).keeping |= self.settings.keep_on_failure
            if call.when == "teardown":
                stamp = {"started": record.started, "nodeid": item.nodeid, "outcome": to_json(record.outcome())}
                report.user_properties.append((OUTCOME, json.dumps(stamp)))
        return report

    def _alibi(self, item: pytest.Item) -> Callable[[], str]:
        """Who speaks for the binding: client pods, where the check has some."""
        run = self.config.stash.get(_RUN, None)
        return str if run is None or BYSTANDERS.isdisjoint(getattr(item, "fixturenames", ())) else run.alibi

    def _collect(self, item: pytest.Item, report: pytest.TestReport, about: tuple[Ref, ...]) -> None:
        """The bundle, while the fixtures of the check still stand."""
        run = self.config.stash.get(_RUN, None)
        if run is None:
            return
        variant = item.name.partition("[")[2].rstrip("]")
        bundle = Bundle(run.cluster, run.report_dir, requirement_of(item), variant)
        evidence = evidence_of(item)
        evidence.about(*about)
        record_of(item).evidence.extend(bundle.collect(evidence, report.longreprtext))
        for path in bundle.files:
            attach_text((run.report_dir / path).read_text(encoding="utf-8"), path)


class WorkerSession(ItemHooks):
    """An xdist worker: the controller has provisioned, this process only connects."""

    def __init__(self, config: pytest.Config, settings: Settings, handoff: Handoff) -> None:
        super().__init__(config, settings)
        self.join(handoff, load_binding(Path(handoff.binding)))

    @pytest.hookimpl
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Tell the controller which requirements have a check."""
        output: dict[str, object] = getattr(session.config, "workeroutput", {})
        output[CHECKS] = self.checks
        output[ELSEWHERE] = sorted(self.results.elsewhere) if self.results else []
        current_run(self.config).close()
