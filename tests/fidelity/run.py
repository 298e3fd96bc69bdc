"""`make fidelity`: replay the recordings on a sandbox of its own and say how many facts are equal.

Exit status: 0 when at least 95 of 100 facts are equal, 1 when fewer are.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import urllib3.exceptions

from conformance.sandbox import daemon
from conformance.sandbox.state import default_state_dir
from tests.fidelity import admission, observed
from tests.fidelity.compare import Comparison, Explanation, compare, explanations, repeated, unused
from tests.fidelity.facts import Facts, extract
from tests.fidelity.place import Place
from tests.fidelity.recorder import Recorder
from tests.fidelity.recording import load, scenario_names
from tests.fidelity.steps import Replay

TARGET: Final = 0.95
OUT: Final = Path("out/fidelity")
log = logging.getLogger("fidelity")


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay, or with --again compare what was kept; print the report."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="%(asctime)s %(message)s")
    wanted = options.scenarios or [admission.SCENARIO, *scenario_names()]
    reasons = explanations()
    if options.again:
        found = _compare_kept(wanted, options.out, reasons)
    else:
        found = _replay_all(wanted, options.out, options.attach, reasons)
    complete = not options.scenarios
    report = render(found, unused(reasons, found) if complete else ())
    (options.out / "report.txt").write_text(report, encoding="utf-8")
    print(report, end="")
    return 0 if found.share >= TARGET else 1


def render(found: Comparison, idle: Sequence[Explanation]) -> str:
    """The report: every difference, the explained ones last; what is the same in many places; the counts."""
    explained = [difference for difference in found.differences if difference.why]
    lines = [str(difference) for difference in (*found.unexplained, *explained)]
    lines += [f"explains nothing any more: {reason.scenario}: {reason.fact}" for reason in idle]
    lines += [f"{count} times: {shape}" for shape, count in repeated(found.unexplained)]
    lines.append(f"facts equal: {found.equal} of {found.total} ({found.share:.1%})")
    lines.append(f"different: {len(found.unexplained)} unexplained, {len(explained)} explained")
    return "\n".join(lines) + "\n"


def _replay_all(wanted: Sequence[str], out: Path, attach: Path | None, reasons: Sequence[Explanation]) -> Comparison:
    sandbox = daemon.attach(attach) if attach else daemon.start(_sandbox_options(), _progress)
    try:
        place = Place(sandbox)
        place.prepare()
        found = Comparison(0, ())
        for scenario in wanted:
            begin = time.monotonic()
            one = compare(scenario, _recorded(scenario), _observe(scenario, place, out), reasons)
            took = time.monotonic() - begin
            print(
                f"{scenario}: {one.equal} of {one.total} ({one.share:.1%}), {took:.0f} s", file=sys.stderr, flush=True
            )
            found += one
        return found
    finally:
        if not attach:
            sandbox.stop()


def _recorded(scenario: str) -> Facts:
    if scenario == admission.SCENARIO:
        return {fact: value for case in admission.cases() for fact, value in admission.recorded(case).items()}
    return extract(load(scenario).seen)


def _observe(scenario: str, place: Place, out: Path) -> Facts:
    """Replay one scenario. One that cannot be replayed shows nothing, and the log says why."""
    recording = load(scenario if scenario != admission.SCENARIO else "passt")
    if scenario == admission.SCENARIO:
        place.register(recording.bindings)
        return {
            fact: value for case in admission.cases() for fact, value in admission.observed(place.api, case).items()
        }
    try:
        with place.stage(recording), Recorder(place.api, recording.seen.namespace) as recorder:
            seen = Replay(place.api, recorder, recording, place.kill_sidecar).run()
    except (OSError, LookupError, RuntimeError, urllib3.exceptions.HTTPError):  # must not hide the other scenarios
        log.error("%s: not replayed\n%s", scenario, traceback.format_exc())
        return {}
    observed.save(seen, out)
    return extract(seen)


def _compare_kept(wanted: Sequence[str], out: Path, reasons: Sequence[Explanation]) -> Comparison:
    """Compare the observations kept in `out`; scenarios that are not there are left out."""
    found = Comparison(0, ())
    for scenario in wanted:
        if (out / f"{scenario}.json").exists():
            found += compare(scenario, _recorded(scenario), extract(observed.load(scenario, out)), reasons)
    return found


def _sandbox_options() -> daemon.Options:
    return daemon.Options(state_dir=default_state_dir("fidelity"))


def _progress(stage: str, fraction: float) -> None:
    log.info("sandbox: %s %.0f %%", stage, fraction * 100)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fidelity", description=__doc__)
    parser.add_argument("scenarios", nargs="*", help="recordings by name; all of them by default")
    parser.add_argument("--attach", type=Path, metavar="STATE_DIR", help="use the sandbox that runs there")
    parser.add_argument("--out", type=Path, default=OUT, help="where observations and the report are kept")
    parser.add_argument("--again", action="store_true", help="compare what is kept, replay nothing")
    parser.add_argument("--verbose", action="store_true", help="log steps and waits")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
