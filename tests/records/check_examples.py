"""Documents of checks, baselines and explanations in which every field is set."""

from __future__ import annotations

from edgebench import records as r


def check_of(results: tuple[r.Result, ...]) -> r.CheckDocument:
    """A check with a verdict, and one that failed."""
    return r.CheckDocument(
        checks=(
            r.Checked(
                name="s0",
                baseline="main",
                candidate="mobileone_s0",
                target="host",
                check=r.CheckResult(
                    verdict="regressed",
                    budget=0.03,
                    ratio=1.05,
                    bounds=(1.04, 1.06),
                    launches=6,
                    confirmation_ratio=1.05,
                    design="paired",
                    reasons=("memory is 1.200 x",),
                    notes=("runtime_version differs",),
                    memory_ratio=1.2,
                    memory_budget=0.1,
                    size_ratio=1.01,
                    size_budget=0.1,
                    layers=(r.LayerChange(module="stem", op="Conv", baseline_ms=1.0, candidate_ms=1.3),),
                ),
                results=results,
            ),
            r.Checked(
                name="s1",
                baseline="main",
                candidate="mobileone_s1",
                target="pixel",
                failure=r.CheckFailure(code="device_not_found", message="no phone", hint="plug it in", exit_status=5),
            ),
        )
    )


def baseline_of(result: r.Result) -> r.Baseline:
    """A result that is kept."""
    return r.Baseline(
        name="main",
        saved_utc="2026-11-22T17:00:00Z",
        tool_version="0.1.0",
        manifest_sha256="0" * 64,
        result=result,
    )


EXPLANATION = r.Explanation(
    first="s0 of one",
    second="s0 of another",
    first_ms=22.0,
    second_ms=10.0,
    ratio=0.45,
    uncertainty=0.01,
    mechanisms=(
        r.Mechanism(
            name="clock",
            factor=0.46,
            uncertainty=0.01,
            known=True,
            named=True,
            evidence=("clock canary 0.460 x",),
            causes=(r.Cause(name="heat", evidence="the first was at thermal status 3"),),
        ),
        r.Mechanism(name="residual", factor=0.98, uncertainty=0.02, known=True, named=False),
    ),
    unlike=("governor: a and b",),
    told_by=("6 launches, all INVALID", "10 launches"),
)
