"""What checks found, for the CI services that people use: JUnit XML, Markdown, a picture, GitHub's annotations."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tabulate import tabulate

from edgebench.records import Checked, CheckResult
from edgebench.report.check import check_lines

_MARKS = {"regressed": "❌", "pass": "✅", "improved": "✅", "inconclusive": "❔"}
_COLOURS = {"regressed": "#c0392b", "pass": "#27753b", "improved": "#27753b", "inconclusive": "#8a6d00"}


def junit_xml(checked: Sequence[Checked]) -> bytes:
    """A test suite of which each check is a case: a failure where it regressed, an error where it failed, skipped where it is
    inconclusive, as a CI service must not turn red for what nobody knows."""
    suite = ElementTree.Element("testsuite", name="edgebench check", tests=str(len(checked)))
    counts = {"failures": 0, "errors": 0, "skipped": 0}
    for each in checked:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"edgebench.{_clean(each.target)}", name=_clean(each.name)
        )
        lines = [_clean(line) for line in check_lines(each)]
        text = "\n".join(lines)
        if each.check is None:
            counts["errors"] += 1
            ElementTree.SubElement(case, "error", message=lines[0]).text = text
        elif each.check.verdict == "regressed":
            counts["failures"] += 1
            ElementTree.SubElement(case, "failure", message=lines[0]).text = text
        elif each.check.verdict == "inconclusive":
            counts["skipped"] += 1
            ElementTree.SubElement(case, "skipped", message="; ".join(lines))
        ElementTree.SubElement(case, "system-out").text = text
    for name, count in counts.items():
        suite.set(name, str(count))
    ElementTree.indent(suite)
    document: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def markdown_summary(checked: Sequence[Checked], picture: str | None = None) -> str:
    """A table of the checks, the words of each below; ``picture`` is where its SVG lies, as a link from here."""
    rows = [
        [
            f"{_MARKS[each.check.verdict]} {_verdict(each.check)}" if each.check else "⚠️ failed",
            _cell(each.name),
            _cell(each.target),
            *(_figures(each.check) if each.check else ["n/a"] * 4),
        ]
        for each in checked
    ]
    headers = ("verdict", "check", "target", "ratio", "interval", "budget", "memory")
    parts = ["### edgebench check", tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)]
    if picture is not None:
        parts.append(f"![ratios and their budgets]({picture})")
    for each in checked:
        words = "\n".join(f"- {_cell(line)}" for line in check_lines(each))
        parts.append(f"<details><summary>{escape(each.name)}</summary>\n\n{words}\n\n</details>")
    return "\n\n".join(parts) + "\n"


def github_annotations(checked: Sequence[Checked]) -> list[str]:
    """A workflow command for each check that is no pass: an error, or a warning where nothing can be told."""
    lines = []
    for each in checked:
        if each.check and each.check.verdict in ("pass", "improved"):
            continue
        level = "warning" if each.check and each.check.verdict == "inconclusive" else "error"
        title = _command_value(f"edgebench: {each.name}", of_property=True)
        lines.append(f"::{level} title={title}::{_command_value(chr(10).join(check_lines(each)))}")
    return lines


def ratios_svg(checked: Sequence[Checked]) -> str:
    """Each check a row: its ratio with the interval, on one axis, beside its budget's line."""
    told = [(each, each.check) for each in checked if each.check and each.check.ratio and each.check.bounds]
    ends = [end for _, check in told for end in (*(check.bounds or ()), 1.0 + check.budget, 1.0)]
    low, high = (min(ends), max(ends)) if ends else (0.99, 1.01)
    margin = 0.08 * (high - low) or 0.01
    low, high = low - margin, high + margin
    left, right, row = 240.0, 700.0, 28.0
    height = 48.0 + row * len(checked)

    def x(ratio: float) -> float:
        return left + (right - left) * (ratio - low) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {height:g}" width="720" height="{height:g}"'
        ' font-family="system-ui, sans-serif" font-size="13" role="img"'
        ' aria-label="Ratios of candidate to baseline with their intervals and budgets">',
        f'<rect width="720" height="{height:g}" fill="#ffffff"/>',
        f'<line x1="{x(1.0):.1f}" x2="{x(1.0):.1f}" y1="8" y2="{height - 30:g}" stroke="#999999"/>',
        f'<text x="{x(1.0):.1f}" y="{height - 12:g}" text-anchor="middle" fill="#555555">1 x</text>',
    ]
    for place, each in enumerate(checked):
        y = 24.0 + row * place
        parts.append(f'<text x="8" y="{y + 4:g}" fill="#222222">{escape(_short(_clean(each.name)))}</text>')
        check = each.check
        if check is None or check.ratio is None or check.bounds is None:
            why = "failed" if check is None else _verdict(check)
            parts.append(f'<text x="{left:g}" y="{y + 4:g}" fill="#8a6d00">{escape(why)}: no ratio</text>')
            continue
        colour = _COLOURS[check.verdict]
        budget_x, (low_x, high_x) = x(1.0 + check.budget), map(x, check.bounds)
        parts += [
            f'<line x1="{budget_x:.1f}" x2="{budget_x:.1f}" y1="{y - 11:g}" y2="{y + 11:g}" stroke="#c0392b"'
            ' stroke-dasharray="3 2"/>',
            f'<line x1="{low_x:.1f}" x2="{high_x:.1f}" y1="{y:g}" y2="{y:g}" stroke="{colour}" stroke-width="3"/>',
            f'<circle cx="{x(check.ratio):.1f}" cy="{y:g}" r="4.5" fill="{colour}">'
            f"<title>{escape(_clean(check_lines(each)[0]))}</title></circle>",
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _verdict(check: CheckResult) -> str:
    return f"{check.verdict} (unpaired)" if check.design.startswith("unpaired") else check.verdict


def _figures(check: CheckResult) -> list[str]:
    memory = "n/a" if check.memory_ratio is None else f"{check.memory_ratio:.3f} x"
    if check.ratio is None or check.bounds is None:
        return ["n/a", "n/a", f"{1 + check.budget:g} x", memory]
    low, high = check.bounds
    return [f"{check.ratio:.4f} x", f"{low:.4f} to {high:.4f}", f"{1 + check.budget:g} x", memory]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _short(text: str, most: int = 34) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _clean(text: str) -> str:
    """Without what XML cannot hold (XML 1.0, section 2.2): a program's words and file names may have anything in them."""
    return "".join(
        sign for sign in text if sign in "\t\n" or " " <= sign < "\ud800" or "\ue000" <= sign not in "\ufffe\uffff"
    )


def _command_value(text: str, *, of_property: bool = False) -> str:
    """As GitHub's runner wants it escaped (actions/toolkit, command.ts)."""
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return escaped.replace(":", "%3A").replace(",", "%2C") if of_property else escaped
