"""The result as a person reads it in five seconds: the number, its width, its verdict, and why."""

from __future__ import annotations

from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edgebench.analyze.statistics import half_width
from edgebench.records import Artifact, Fidelity, Monitored, ParityCheck, Result
from edgebench.report.tables import milliseconds, published_text

VERDICT_STYLES = {"VALID": "bold green", "SUSPECT": "bold yellow", "INVALID": "bold red"}


def result_panel(result: Result) -> RenderableType:
    """One result in a frame: latency, verdict with reasons, parity, weights, what was published."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    grid.add_row("latency", _latency(result))
    grid.add_row("verdict", _verdict(result))
    grid.add_row("launches", _launches(result))
    if result.transfers_ms:
        copies = ", ".join(f"{name} {milliseconds(value)} ms" for name, value in result.transfers_ms.items())
        grid.add_row("transfers", f"{copies}, not in the latency")
    if result.ratio_to is not None:
        grid.add_row("ratio", Text(_ratio(result)))
    if conditions := _conditions(result):
        grid.add_row("device", Text(conditions))
    grid.add_row("parity", _parity(result.parity))
    grid.add_row("weights", Text(result.weights))
    if result.identity.calibration:
        grid.add_row("calibration", Text(result.identity.calibration))
    if len(result.session_medians_ms) > 1:
        grid.add_row("sessions", ", ".join(f"{milliseconds(value)} ms" for value in result.session_medians_ms))
    for figure in result.published:
        grid.add_row("published", Text(published_text(figure, result)))
    for note in result.notes:
        grid.add_row("note", Text(note))
    identity = result.identity
    cores = ",".join(map(str, identity.cores))
    threads = f"{result.threads} thread{'s' if result.threads > 1 else ''}"
    on = f"{threads} on core{'s' if len(identity.cores) > 1 else ''} {cores}"
    inputs = ", ".join("x".join(map(str, shape)) for shape in identity.inputs.values())
    title = f"{result.model} · {inputs} · {result.runtime} · {result.precision} · {on} · {result.device}"
    return Panel(grid, title=Text(title), title_align="left", border_style=VERDICT_STYLES[result.verdict].split()[-1])


def _latency(result: Result) -> Text:
    if result.median_ms is None:
        return Text("n/a: no launch can be used", style="bold red")
    text = Text(f"{milliseconds(result.median_ms)} ms", style="bold")
    if result.ci95_ms is not None:
        low, high = result.ci95_ms
        text.append(f"  ± {half_width(result.ci95_ms):.1%}", style="bold")
        sessions = len(result.session_medians_ms)
        scope = f"over {sessions} sessions" if sessions else "this session"
        text.append(f"  (95 %: {milliseconds(low)} to {milliseconds(high)} ms, this device, {scope})", style="dim")
    return text


def _ratio(result: Result) -> str:
    if result.ratio is None:
        return f"n/a to {result.ratio_to} ({result.design})"
    text = f"{result.ratio:.4f} x {result.ratio_to}"
    if result.ratio_ci95 is not None:
        text += f" (95 %: {result.ratio_ci95[0]:.4f} to {result.ratio_ci95[1]:.4f})"
    return f"{text}, {result.design}"


def _verdict(result: Result) -> Text:
    text = Text(result.verdict, style=VERDICT_STYLES[result.verdict])
    for reason in result.reasons:
        text.append(f"\n{reason}", style="default")
    return text


def _launches(result: Result) -> str:
    parts = [f"{result.launches} used"]
    for count, name in (
        (result.launches_suspect, "of them SUSPECT"),
        (result.launches_invalid, "INVALID"),
        (result.launches_failed, "FAILED"),
    ):
        if count:
            parts.append(f"{count} {name}")
    parts.append(f"{result.iterations} iterations")
    parts.append(f"p90 {milliseconds(result.p90_ms)}{' ms' if result.p90_ms is not None else ''}")
    if result.memory_peak_bytes is not None:
        parts.append(f"memory {result.memory_peak_bytes / 2**20:.0f} MiB")
    return ", ".join(parts)


def _conditions(result: Result) -> str:
    """What the device was like while it was measured, as far as it tells; empty for one that tells nothing."""
    identity = result.identity
    parts = []
    if result.start_c is not None:
        low, high = result.start_c
        parts.append(f"{result.start_sensor} at {low:.1f} to {high:.1f} °C before a launch")
    if result.clock_ghz is not None:
        slowest, fastest = result.clock_ghz
        parts.append(f"clock {slowest:.2f} to {fastest:.2f} GHz by its canaries")
    if result.monitor is not None:
        parts += _monitored(result.monitor)
    if result.telemetry_share is not None:
        parts.append(f"reading sensors cost {result.telemetry_share:.2%} of a core")
    if identity.gate == "off":
        parts.append("GATE OFF: nothing waited until it was cool and idle")
    if identity.screen is not None:
        parts.append(f"screen {identity.screen}")
    if identity.charger is not None:
        parts.append(f"charger {identity.charger}")
    if identity.power_mode is not None:
        parts.append(f"power mode {identity.power_mode}")
    if identity.clocks is not None:
        parts.append(f"clocks {identity.clocks}")
    if identity.settings:
        parts.append(f"changed for the run: {', '.join(identity.settings)}")
    if identity.launched_from != "this machine":
        parts.append(f"launched from {identity.launched_from}")
    return "; ".join(parts)


def _monitored(monitor: Monitored) -> list[str]:
    parts = []
    if monitor.gpu_mhz is not None:
        slowest, fastest = monitor.gpu_mhz
        parts.append(f"GPU at {slowest} MHz" if slowest == fastest else f"GPU at {slowest} to {fastest} MHz")
    if monitor.power_mw is not None:
        parts.append(f"{monitor.power_mw / 1e3:.1f} W ({monitor.rail})")
    return [*parts, f"{monitor.name} cost {monitor.cost_share:.1%} of a core"]


def artifact_panel(artifact: Artifact, fidelity: Fidelity, folder: str) -> RenderableType:
    """One exported artifact in a frame: where its files are, how faithful they are, what they hold."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    files = [file for file in artifact.files if not file.role.startswith("reference:")]
    model = artifact.model
    grid.add_row("folder", Text(folder))
    grid.add_row("files", Text(", ".join(f"{file.path} ({file.size_bytes / 2**20:.1f} MiB)" for file in files)))
    grid.add_row("parity", _parity(fidelity))
    grid.add_row("weights", Text(artifact.weights.description))
    if made := artifact.quantization:
        grid.add_row("calibration", f"{made.samples} samples, Q/DQ for {made.scheme}")
    fused = "re-parameterised" if model.reparameterized else "nothing to re-parameterise"
    grid.add_row("model", Text(f"{model.params / 1e6:.2f} M parameters, {model.macs / 1e6:.1f} MMACs, {fused}"))
    title = f"{model.name} · {artifact.format} · {artifact.precision}"
    return Panel(grid, title=Text(title), title_align="left")


def _parity(fidelity: Fidelity) -> Text:
    if fidelity.not_checked is not None:
        return Text(f"not checked: {fidelity.not_checked}", style="yellow")
    checks = "; ".join(_check(check) for check in fidelity.checks)
    return Text(f"{checks}; largest relative difference from PyTorch") if checks else Text("n/a")


def _check(check: ParityCheck) -> str:
    word = "ok" if check.passed else "FAILED"
    return f"{check.step} {word} {check.error_relative:.1e} (limit {check.tolerance_relative:.0e})"
