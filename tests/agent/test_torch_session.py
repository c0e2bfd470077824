"""The reference row through the agent."""

from __future__ import annotations

import numpy as np
import torch
from msgspec.structs import replace

from edgebench.records import LoadRow, OutputRow
from tests.agent.launches import INPUT, output, plan, run_agent


def test_a_pickled_module_runs_under_inference_mode_and_gives_all_its_tensors(tmp_path):
    torch.set_num_threads(1)
    module = torch.nn.Conv2d(1, 2, 3).eval()
    torch.save(module, tmp_path / "module.pt")
    wanted = plan(tmp_path, "verify", {"torch": str(tmp_path / "module.pt")}, runtime="torch")
    status, trace = run_agent(wanted)
    assert status == 0, trace.error
    load, row = trace.of(LoadRow)[0], trace.of(OutputRow)[0]
    assert load.precision_computed == "fp32"
    assert (load.resolved["threads"], load.resolved["inference_mode"]) == (1, True)
    expected = module(torch.from_numpy(INPUT)).detach().numpy()
    np.testing.assert_allclose(output(row.path, row.shape), expected, rtol=1e-5, atol=1e-5)

    torch.save(module.train(), tmp_path / "module.pt")
    status, trace = run_agent(replace(wanted, mode="measure"))
    assert status == 1 and trace.error is not None and "training mode" in trace.error.message
