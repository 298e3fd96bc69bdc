"""Joins the reports of the shards of one run into the report that the run would have written alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from conformance.model import Entry, ModelError, Report, SkipReason, merge_outcomes

SHARD: Final = "shard"
"""The fact in a report's environment that says which shard it is of: ``2/4``."""


class MergeError(ModelError):
    """Reports that are not the shards of one run; the message names what differs, or which shard is missing."""


def merge_reports(reports: Sequence[Report]) -> Report:
    """One report of all shards. Raises MergeError when they do not belong together, or one is missing or doubled.

    Its date is that of the first, its wall time that of the longest (shards run side by side).
    """
    first = min(reports, key=lambda report: report.date)
    for report in reports:
        _require_same(first, report)
    _require_complete([str(report.environment.get(SHARD, "")) for report in reports])
    entries = tuple(_entry([r.entries[place] for r in reports]) for place in range(len(first.entries)))
    environment = {name: value for name, value in first.environment.items() if name != SHARD}
    return replace(
        first,
        entries=entries,
        seconds=max(report.seconds for report in reports),
        environment={**environment, "shards": str(len(reports))},
    )


def merge_files(sources: Iterable[Path], target: Path) -> None:
    """The evidence of all shards in one place, and one timeline. Report directories are given."""
    lines: list[Mapping[str, object]] = []
    target.mkdir(parents=True, exist_ok=True)
    for source in sources:
        if (source / "evidence").is_dir():
            shutil.copytree(source / "evidence", target / "evidence", dirs_exist_ok=True)
        timeline = source / "timeline.json"
        if timeline.is_file():
            lines += json.loads(timeline.read_text(encoding="utf-8"))
    lines.sort(key=lambda line: str(line.get("start")))
    (target / "timeline.json").write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")


def _require_same(first: Report, other: Report) -> None:
    facts = _facts(other)
    for what, value in _facts(first).items():
        if facts[what] != value:
            raise MergeError(f"these reports are not of one run: {what} differs: {value!r} and {facts[what]!r}")


def _facts(report: Report) -> dict[str, object]:
    """What the shards of one run have in common."""
    return {
        "binding": (report.binding.name, report.binding.mutant, report.binding.digest),
        "suite version": report.suite_version,
        "KubeVirt": report.kubevirt_version,
        "Kubernetes": report.kubernetes_version,
        "mode": report.mode.value,
        "requirements": tuple(entry.id for entry in report.entries),
    }


def _require_complete(shards: Sequence[str]) -> None:
    counts = {shard.partition("/")[2] for shard in shards}
    if "" in counts or len(counts) != 1:
        said = ", ".join(shard or "none" for shard in shards)
        raise MergeError(
            f"these reports are not the shards of one run: they say {said}; give those of `run --shard I/N`"
        )
    count = int(counts.pop())
    wanted = [f"{index}/{count}" for index in range(1, count + 1)]
    missing = [shard for shard in wanted if shard not in shards]
    doubled = sorted({shard for shard in shards if shards.count(shard) > 1})
    if missing or doubled:
        parts = [f"missing: {', '.join(missing)}"] if missing else []
        parts += [f"there twice: {', '.join(doubled)}"] if doubled else []
        raise MergeError(f"the shards are not complete: {'; '.join(parts)}")


def _entry(entries: Sequence[Entry]) -> Entry:
    """What the shard found that decided it; all alike where no shard had to."""
    decided = [e for e in entries if e.outcome.skip is None or e.outcome.skip.reason is not SkipReason.OTHER_SHARD]
    outcomes = list(dict.fromkeys(entry.outcome for entry in decided or entries))
    return replace(entries[0], outcome=outcomes[0] if len(outcomes) == 1 else merge_outcomes(outcomes))
