"""What the kernel tells, whole and mangled."""

from __future__ import annotations

import pytest
from hypothesis import given

from edgebench.device import kernel
from tests.device.mangling import mangled
from tests.device.sample_phone import cpufreq_listing, zone_listing

FILES = [
    cpufreq_listing([1800000, 2400000]),
    zone_listing([("cpu-thermal", "49468"), ("gpu-thermal", "")]),
    "MemTotal:        7812345 kB\n",
    "0-3,7\n",
    "Hardware\t: MT6765\n",
]


@pytest.mark.parametrize(
    ("text", "cores"),
    [("0-3,7\n", (0, 1, 2, 3, 7)), ("5", (5,)), ("", ()), ("3-1", ()), ("0-9999", ()), ("0-x", ()), ("-1", ())],
)
def test_a_list_of_cores(text, cores):
    assert kernel.core_list(text) == cores


def test_the_processors_that_cpuinfo_lists():
    assert kernel.processors("processor\t: 0\nBogoMIPS\t: 38\n\nprocessor\t: 4\nHardware\t: x\n") == (0, 4)


def test_a_zone_that_refuses_to_be_read_is_absent():
    listing = zone_listing([("cpu-thermal", "49468"), ("cv0-thermal", ""), ("tj-thermal", "50531")])
    found = kernel.zone_files(listing)
    assert [(zone.kind, zone.temp, zone.folder) for zone in found] == [
        ("cpu-thermal", "49468", "thermal_zone0"),
        ("tj-thermal", "50531", "thermal_zone2"),
    ]


@given(mangled(FILES))
def test_no_mangled_text_raises_or_gives_what_cannot_be(text):
    memory = kernel.memory_bytes(text)
    assert memory is None or memory > 0
    files = kernel.core_files(text)
    assert all(each.max_khz is None or each.max_khz > 0 for each in files.values())
    cores = kernel.core_list(text) or kernel.processors(text) or kernel.allowed_cores(text)
    assert all(core >= 0 for core in cores or ())
    assert all(kernel.cpuinfo(text).values())
    assert all(zone.path for zone in kernel.zone_files(text))
