"""What a check holds against each other: models, artifacts, runs and saved baselines, by the names that people type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edgebench.catalog import resolve_model
from edgebench.cli.measuring import results_from
from edgebench.errors import UnknownName, UsageError
from edgebench.files import sha256_file
from edgebench.measure.baselines import baseline_names, find_baseline, kept_artifact
from edgebench.measure.store import find_run, run_ids
from edgebench.records import Baseline, Result, Series
from edgebench.records.artifact import MANIFEST

T = TypeVar("T", Result, Series)
_KEEP_ONE = "keep the one that is meant: edgebench baseline save NAME RUN --series LABEL"


@dataclass(frozen=True)
class Side:
    """One side of a check.

    ``model`` is what is measured now (Request.models); None where only ``stored``, the result of an earlier run, is left, and
    ``gone`` says why. A model that was not measured before has no ``stored``.
    """

    name: str
    model: str | None
    stored: Result | None = None
    gone: str | None = None


def side_of(name: str, runs_dir: Path, baselines_dir: Path, *, baseline_first: bool) -> Side:
    """A saved baseline, a model (an artifact's folder is one), or a run, in that order; ``baseline_first`` false takes a model
    of a baseline's name for the model.

    Raises UnknownName with near names, UsageError for a run of several results, and what the files call for.
    """
    saved = name.endswith(".json") or name in baseline_names(baselines_dir)
    if saved and baseline_first:
        return _of_baseline(name, *find_baseline(baselines_dir, name))
    try:
        resolve_model(name)
    except UnknownName as no_model:
        if saved:
            return _of_baseline(name, *find_baseline(baselines_dir, name))
        # By a part of its id a run would answer for a model whose name was mistyped.
        if name != "last" and name not in run_ids(runs_dir) and not (Path(name) / "run.json").is_file():
            kept = baseline_names(baselines_dir)
            hint = f"it is no run of {runs_dir} and no baseline either ({', '.join(kept) or 'there is none'}); {no_model.hint}"
            raise UnknownName("model", name, no_model.suggestions, hint=hint) from None
        store = find_run(runs_dir, name)
        return _of_run(name, chosen(results_from(store, store.load()), None, name))
    return Side(name, name)


def _of_baseline(name: str, baseline: Baseline, folder: Path) -> Side:
    kept = kept_artifact(folder, baseline)
    if kept is not None:
        return Side(name, str(kept), baseline.result)
    side = _of_run(name, baseline.result)
    # One key can have been exported to other bytes since: another exporter's, or what a CI cache brought.
    if side.model is not None and sha256_file(Path(side.model) / MANIFEST) == baseline.manifest_sha256:
        return side
    gone = f"the artifact of baseline {baseline.name} is in {folder} no more, and not in the cache either"
    return Side(name, None, baseline.result, gone)


def _of_run(name: str, result: Result) -> Side:
    from edgebench.export.cache import artifact_folder, find_artifact

    if find_artifact(result.artifact) is None:
        return Side(name, None, result, f"the artifact of {result.run_id} is not in the cache any more")
    return Side(name, str(artifact_folder(result.artifact)), result)


def chosen(every: Sequence[T], label: str | None, run: str, hint: str = _KEEP_ONE) -> T:
    """The one series, or result, of a run, or the one with that label. Raises UsageError with ``hint``."""
    fitting = [each for each in every if label in (None, each.label)]
    if len(fitting) == 1:
        return fitting[0]
    labels = ", ".join(each.label for each in every)
    raise UsageError(
        f"{run} has {len(every)} results{'' if label is None else f', none is {label}'}: {labels}", hint=hint
    )
