"""tegrastats of every board that there is a line of, and of lines that a bad link or another release would make of them."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from edgebench.device.linux.tegrastats import BoardSample, CoreLoad, parse_line, parse_tegrastats
from tests.damaged_text import damaged

SAMPLES = Path(__file__).parents[1] / "samples" / "jetson"
LINES = [line for line in (SAMPLES / "tegrastats_lines.txt").read_text().splitlines() if not line.startswith("#")]
NANO, NANO_5W, TX1, TX2, ORIN_ROOT, ORIN, ORIN_2026, AGX_7, XAVIER, AGX_5 = LINES


def test_every_sample_is_read_whole():
    samples = parse_tegrastats("\n".join(LINES) + "\n")
    assert len(samples) == len(LINES)
    assert all(sample.ram_total_mb and sample.cores for sample in samples)
    # The TX1's release has neither temperatures nor rails.
    assert [bool(sample.temperature_c) for sample in samples] == [line != TX1 for line in LINES]
    assert [bool(sample.power_mw) for sample in samples] == [line != TX1 for line in LINES]


def test_an_orin_nano_for_root():
    assert parse_line(ORIN_ROOT) == BoardSample(
        ram_used_mb=6185,
        ram_total_mb=7620,
        cores=tuple(CoreLoad(percent, 729) for percent in (15, 11, 14, 13, 11, 8)),
        memory_percent=43,
        memory_mhz=2133,
        gpu_percent=63,
        gpu_mhz=621,
        temperature_c={"cpu": 53.968, "soc2": 52.437, "soc0": 50.75, "gpu": 53.343, "tj": 53.968, "soc1": 51.656},
        power_mw={"VDD_IN": 12479, "VDD_CPU_GPU_CV": 4667, "VDD_SOC": 2817},
    )


def test_what_an_orin_nano_keeps_from_others_is_not_known():
    sample = parse_line(ORIN)
    assert (sample.memory_percent, sample.memory_mhz, sample.gpu_percent, sample.gpu_mhz) == (None, None, 0, None)
    assert sample.total_mw == 4824


def test_cores_that_are_off_and_clocks_of_an_old_nano():
    sample = parse_line(NANO_5W)
    assert sample.cores == (CoreLoad(22, 518), CoreLoad(67, 518), None, None)
    assert (sample.memory_mhz, sample.gpu_mhz) == (1600, 76)
    assert sample.total_mw == 2003, "its parts are not added"


def test_one_clock_for_all_cores_is_none_of_each():
    assert parse_line(TX1).cores == tuple(CoreLoad(percent, None) for percent in (17, 11, 65, 0))
    assert parse_line(TX1).gpu_percent == 39


def test_the_power_chips_trip_point_is_no_temperature():
    assert "PMIC" not in parse_line(NANO).temperature_c and "PMIC" not in parse_line(TX2).temperature_c


def test_now_comes_before_the_averages_and_no_total_is_made_up():
    sample = parse_line(AGX_7)
    assert sample.power_mw == {"VDD_GPU_SOC": 5139, "VDD_CPU_CV": 3268, "VIN_SYS_5V0": 5500}
    assert sample.total_mw is None
    assert (sample.gpu_mhz, sample.temperature_c["cpu"]) == (1300, 52.968)


def test_sensors_that_are_off_and_rails_that_are_not_there():
    sample = parse_line(AGX_5)
    assert set(sample.temperature_c) == {"CPU", "Tboard", "SOC2", "Tdiode", "SOC0", "tj", "SOC1"}
    assert set(sample.power_mw) == {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"}
    assert parse_line(XAVIER).power_mw["SYS5V"] == 3306


@pytest.mark.parametrize("text", ["", "\n\n", "tegrastats: command not found\n", "[sudo] password for ann:"])
def test_what_is_no_sample_is_none(text):
    assert parse_tegrastats(text) == ()


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_a_line_without_its_end_or_its_head_holds_nothing(line):
    """A line that lost all of its time, and only that, is whole."""
    assert parse_tegrastats(line) == ()
    whole = line[line.index("RAM ") :]
    for at in range(1, len(line)):
        assert parse_tegrastats(line[:at]) == ()
        rest = line[at:].strip()
        assert parse_tegrastats(f"{rest}\n") == ((parse_line(line),) if rest == whole else ())


def test_a_line_of_another_shape_than_most_lines_of_its_file_is_left_out():
    """The first two lost their middle: each of its words is one that a whole line may have."""
    no_clock = ORIN_ROOT.replace("2133 GR3D_FREQ 63%@[621", "204")
    no_core = ORIN_ROOT.replace("15%@729,11%@729,", "15%@729,", 1)
    for cut in (no_clock, no_core, ORIN_ROOT[: ORIN_ROOT.index(" VDD_SOC")], ORIN):
        assert parse_tegrastats(f"{ORIN_ROOT}\n{cut}\n{ORIN_ROOT}\n") == (parse_line(ORIN_ROOT),) * 2
    assert parse_tegrastats(f"{ORIN}\n{ORIN_ROOT}\n") == (parse_line(ORIN), parse_line(ORIN_ROOT)), "none has most"


def test_a_clock_stands_beside_every_core_or_beside_none():
    assert parse_line(NANO_5W.replace("67%@518", "67%")).cores is None


def test_what_changes_from_line_to_line_is_no_other_shape():
    changed = NANO_5W.replace("67%@518,off", "off,7%@1479").replace("28x4MB", "1x256kB").replace("APE 25", "APE off")
    lines = (NANO_5W, changed.replace("PLL@28.5C", "PLL@-256C"), NANO_5W)
    assert parse_tegrastats("".join(f"{line}\n" for line in lines)) == tuple(map(parse_line, lines))


@dataclass(frozen=True)
class Field:
    """A part of a line that stands for itself: ``text``, and how the truth is without it."""

    text: str
    key: str


FAMILIES = ("nano", "orin", "agx")
RAILS = {"nano": ("POM_5V_IN", "POM_5V_GPU"), "orin": ("VDD_IN", "VDD_SOC"), "agx": ("VDD_GPU_SOC", "VIN_SYS_5V0")}
UNITS = (("mW", "W"), ("C", "F"), ("MB", "GB"), ("%", ""), ("MB", ""), ("C", ""))


def truth_and_fields(rng: random.Random, family: str) -> tuple[BoardSample, list[Field]]:
    """A line of one of the families, made from known values."""
    time = "" if family == "nano" else f"11-26-2026 08:{rng.randint(10, 59)}:{rng.randint(10, 59)} "
    total = rng.choice((3964, 7620, 62817))
    used = rng.randint(0, total)
    cores = tuple(
        CoreLoad(rng.randint(0, 100), rng.randint(102, 2201)) if rng.random() < 0.8 else None for _ in range(6)
    )
    emc, gpu = (rng.randint(0, 100), rng.randint(204, 3199)), (rng.randint(0, 100), rng.randint(76, 1300))
    zones = {name: rng.randint(-20_000, 110_000) / 1e3 for name in ("cpu", "gpu", "tj", "soc0")}
    rails = {name: rng.randint(0, 60_000) for name in RAILS[family]}
    core_texts = ["off" if core is None else f"{core.percent}%@{core.mhz}" for core in cores]
    gpu_text = f"{gpu[0]}%@{gpu[1]}" if family == "nano" else f"{gpu[0]}%@[{gpu[1]},{rng.randint(1, gpu[1])}]"
    unit = "" if family == "nano" else "mW"

    def degrees(celsius: float) -> str:
        return f"{celsius:g}C/{rng.randint(0, 90)}C" if family == "agx" else f"{celsius:g}C"

    def power(mw: int) -> str:
        return "/".join(
            f"{each}{unit}" for each in (mw, *(rng.randint(0, 60_000) for _ in range(1 + (family == "agx"))))
        )

    fields = [
        Field(f"{time}RAM {used}/{total}MB (lfb {rng.randint(1, 500)}x4MB)", "ram"),
        Field(f"SWAP {rng.randint(0, 900)}/3810MB (cached 1MB)", "swap"),
        Field(f"CPU [{','.join(core_texts)}]", "cores"),
        Field(f"EMC_FREQ {emc[0]}%@{emc[1]}", "emc"),
        Field(f"GR3D_FREQ {gpu_text}", "gpu"),
        Field("NVDEC off APE 174", "other"),
        *(Field(f"{name}@{degrees(celsius)}", f"t {name}") for name, celsius in zones.items()),
        *(Field(f"{name} {power(mw)}", f"p {name}") for name, mw in rails.items()),
    ]
    truth = BoardSample(used, total, cores, *emc, *gpu, zones, rails)
    return truth, fields


def assert_true_or_none(sample: BoardSample, truth: BoardSample) -> None:
    for name in ("ram_used_mb", "ram_total_mb", "cores", "memory_percent", "memory_mhz", "gpu_percent", "gpu_mhz"):
        assert getattr(sample, name) in (None, getattr(truth, name)), name
    assert sample.temperature_c.items() <= truth.temperature_c.items()
    assert sample.power_mw.items() <= truth.power_mw.items()
    assert sample.total_mw in (None, truth.total_mw)


def is_true_or_none(sample: BoardSample, truth: BoardSample) -> bool:
    try:
        assert_true_or_none(sample, truth)
    except AssertionError:
        return False
    return True


def in_other_units(text: str, rng: random.Random) -> str:
    """Its values alone: C is a letter of names, too."""
    name, _, value = re.split(r"([ @])", text, maxsplit=1)
    unit, other = rng.choice(UNITS)
    return text[: len(name) + 1] + value.replace(unit, other)


def test_ten_thousand_damaged_lines_give_the_truth_or_nothing():
    """Fields deleted, doubled, moved, in other units, and lines cut short."""
    rng = random.Random(20261126)  # noqa: S311  (repeatable, no secret)
    known = 0
    for _ in range(10_000):
        truth, fields = truth_and_fields(rng, rng.choice(FAMILIES))
        assert parse_line(" ".join(field.text for field in fields)) == truth
        for sample in parse_tegrastats(damaged([field.text for field in fields], " ", in_other_units, rng)):
            assert_true_or_none(sample, truth)
            known += sample.gpu_percent is not None
    assert known > 3_000, "what is not damaged is still read"


def without_its_middle(line: str, rng: random.Random) -> str:
    """Cut somewhere in the middle or at the end; not within a number, which nothing could tell from another number."""
    while True:
        start, end = sorted(rng.sample(range(len(line) + 1), 2))
        if not re.fullmatch(r"[-0-9.]+", line[start:end]):
            return line[:start] + line[end:]


def test_ten_thousand_damaged_lines_among_whole_ones_give_the_truth_or_nothing():
    """Two of seven lines with fields deleted, doubled, moved or in other units, or without their middle or end; and their file
    cut at the end or the head, as where a reader comes too early or a log is turned over.

    What is left out can be told by nothing: a number in the middle of a line that lost digits and nothing else, and a file so
    short or so damaged that most of its lines do not have one shape. Files that are cut short lose neither.
    """
    rng = random.Random(11262026)  # noqa: S311  (repeatable, no secret)
    whole = {family: [truth_and_fields(rng, family) for _ in range(5)] for family in FAMILIES}
    known = 0
    for _ in range(5_000):
        family = rng.choice(FAMILIES)
        texts = [" ".join(field.text for field in fields) for _, fields in whole[family]]
        truths = []
        for _ in range(2):
            truth, fields = truth_and_fields(rng, family)
            truths.append(truth)
            parts = [field.text for field in fields]
            cut = rng.random() < 0.5
            text = without_its_middle(" ".join(parts), rng) if cut else damaged(parts, " ", in_other_units, rng).strip()
            texts.insert(rng.randint(0, len(texts)), text)
        log = "".join(f"{text}\n" for text in texts)
        start, end = rng.choice((0, rng.randrange(len(texts[0])))), rng.choice((0, rng.randrange(len(texts[-1]))))
        samples = parse_tegrastats(log[start : len(log) - end])
        others = [sample for sample in samples if all(sample != truth for truth, _ in whole[family])]
        assert all(any(is_true_or_none(sample, truth) for truth in truths) for sample in others)
        known += len(samples)
    assert known > 20_000, "what is not damaged is still read"


def test_what_a_line_says_twice_and_not_alike_is_not_known():
    rng = random.Random(7)  # noqa: S311  (repeatable, no secret)
    for _ in range(500):
        family = rng.choice(FAMILIES)
        truth, fields = truth_and_fields(rng, family)
        _, others = truth_and_fields(rng, family)
        for other in others:
            line = " ".join([*(field.text for field in fields), other.text])
            sample = parse_line(line)
            assert_true_or_none(sample, replace(truth, temperature_c=sample.temperature_c, power_mw=sample.power_mw))
            for name, degrees_c in sample.temperature_c.items():
                assert truth.temperature_c.get(name, degrees_c) == degrees_c
            for name, mw in sample.power_mw.items():
                assert truth.power_mw.get(name, mw) == mw
