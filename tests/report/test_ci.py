"""Reports for CI services: red for a regression, and for nothing that nobody knows."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from edgebench.records import Checked, CheckFailure, CheckResult
from edgebench.records.check import Verdict
from edgebench.report.ci import github_annotations, junit_xml, markdown_summary, ratios_svg
from tests.report.results import result

RESULTS = (result("old"), result("new"))


def parsed(document: bytes | str) -> ElementTree.Element:
    return ElementTree.fromstring(document)  # noqa: S314  (our own)


def found(verdict: Verdict, *, name: str = "small", ratio: float | None = 1.05, design: str = "paired") -> Checked:
    check = CheckResult(
        verdict=verdict,
        budget=0.02,
        ratio=ratio,
        bounds=None if ratio is None else (ratio - 0.01, ratio + 0.01),
        launches=6,
        design=design,
        reasons=("after 28 launches the interval still holds the budget",) if verdict == "inconclusive" else (),
        memory_ratio=1.1,
    )
    return Checked(name=name, baseline="main", candidate="net", target="pixel", check=check, results=RESULTS)


FAILED = Checked(
    name="broken <1>\x1b\ud800",
    baseline="main",
    candidate="net",
    target="pixel",
    failure=CheckFailure(code="parity", message="it computes\x1b something else", hint="export again", exit_status=1),
)
EVERY = [
    found("regressed"),
    found("pass", name="a"),
    found("improved", name="b"),
    found("inconclusive", name="c"),
    FAILED,
]


def test_junit_turns_red_for_a_regression_and_a_failure_alone() -> None:
    suite = parsed(junit_xml(EVERY))
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    kinds = [[child.tag for child in case if child.tag != "system-out"] for case in suite]
    assert kinds == [["failure"], [], [], ["skipped"], ["error"]]
    assert [case.get("name") for case in suite] == ["small", "a", "b", "c", "broken <1>"]
    assert (suite[0][0].get("message") or "").startswith("regressed: ")
    assert "it computes something else" in (suite[4][0].text or ""), "a program's words may hold what XML cannot"


def test_markdown_has_a_row_a_check_and_the_words_of_each_below() -> None:
    text = markdown_summary([*EVERY, found("regressed", name="d|e", design="unpaired: gone")], "plots/checks.svg")
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert [row.split("|")[1].strip() for row in rows] == [
        "❌ regressed",
        "✅ pass",
        "✅ improved",
        "❔ inconclusive",
        "⚠️ failed",
        "❌ regressed (unpaired)",
    ]
    assert "1.0500 x" in rows[0] and "1.0400 to 1.0600" in rows[0] and "1.02 x" in rows[0] and "1.100 x" in rows[0]
    assert "d\\|e" in rows[5], "a name must not end its cell"
    assert "![ratios and their budgets](plots/checks.svg)" in text and "broken &lt;1&gt;" in text
    assert text.count("<details>") == 6
    assert "![" not in markdown_summary(EVERY)


def test_annotations_are_made_for_what_is_no_pass() -> None:
    lines = github_annotations(EVERY)
    assert [line.partition(" ")[0] for line in lines] == ["::error", "::warning", "::error"]
    assert lines[0].startswith("::error title=edgebench%3A small::regressed: ")
    assert "%0A" in lines[0] and "1%25 of checks" in lines[0], "as GitHub's runner wants it"
    assert github_annotations([found("pass")]) == []


def numbers(picture: ElementTree.Element, tag: str, name: str) -> list[float]:
    return [float(each.get(name) or "nan") for each in picture.iter(f"{{http://www.w3.org/2000/svg}}{tag}")]


def test_the_picture_shows_each_ratio_between_its_bounds_beside_its_budget() -> None:
    picture = parsed(ratios_svg([found("regressed"), found("pass", ratio=1.0)]))
    first, second = numbers(picture, "circle", "cx")
    one, budget, bounds, _, other_bounds = zip(
        numbers(picture, "line", "x1"), numbers(picture, "line", "x2"), strict=True
    )
    assert one[0] == one[1] == second < budget[0] == budget[1] < bounds[0] < first < bounds[1] <= 720
    assert other_bounds[0] < second < other_bounds[1]


def test_the_picture_bears_a_name_with_anything_in_it() -> None:
    parsed(ratios_svg([FAILED, found("pass", name="\x1b<&\ud800")]))


@pytest.mark.parametrize("checked", [[FAILED], [found("inconclusive", ratio=None)], []])
def test_a_picture_without_a_ratio_is_one(checked: list[Checked]) -> None:
    picture = parsed(ratios_svg(checked))
    assert numbers(picture, "circle", "cx") == []
    assert sum("no ratio" in (each.text or "") for each in picture.iter()) == len(checked)
