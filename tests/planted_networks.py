"""Networks in which one leaf module is made far costlier than the rest: whoever names layers must name that one.

Each stands for one way to get it wrong: a fused kernel named after its activation or BatchNorm, a residual addition
credited to the wrong convolution, attention, branches that look alike, equal weights that the exporter stores once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgebench.export.ncnn import export_ncnn
from edgebench.export.onnx import export_onnx
from edgebench.export.reference import make_inputs, run_module, save_tensors
from edgebench.records import Artifact, ArtifactFile, Fidelity, ModelIdentity, TensorSpec, WeightsInfo


class ConvBnAct(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, act: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class Chain(nn.Module):
    """Costly: ``heavy.conv``, in the middle of a chain of conv + BatchNorm + activation."""

    def __init__(self, act: type[nn.Module] = nn.Hardswish) -> None:
        super().__init__()
        self.before = ConvBnAct(3, 16, 1, act)
        self.heavy = ConvBnAct(16, 64, 7, act)
        self.after = ConvBnAct(64, 16, 1, act)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.after(self.heavy(self.before(x))).mean((2, 3)))


class Residual(nn.Module):
    """``relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x))`` twice; costly: the convolution with the widest kernel."""

    def __init__(self, main: int, shortcut: int) -> None:
        super().__init__()
        self.first = ResidualBlock(1, 1)
        self.second = ResidualBlock(main, shortcut)
        self.last = ResidualBlock(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x)))


class ResidualBlock(nn.Module):
    def __init__(self, main: int, shortcut: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(32, 32, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 32, main, padding=main // 2, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.shortcut = nn.Sequential(
            nn.Conv2d(32, 32, shortcut, padding=shortcut // 2, bias=False), nn.BatchNorm2d(32)
        )
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.bn1(self.conv1(x)))
        return self.act(self.bn2(self.conv2(y)) + self.shortcut(x))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * inner)
        self.proj = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(batch, tokens, -1))


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 16)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(16, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class TransformerBlock(nn.Module):
    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, inner)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """Three blocks, the attention of the middle one made costly; all LayerNorms hold the same values, stored once."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            TransformerBlock(width, 1, 16), TransformerBlock(width, heads, inner), TransformerBlock(width, 1, 16)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.blocks(x))


class Branches(nn.Module):
    """Two branches of one shape that are added; costly: the convolution of ``right``."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvBnAct(3, 32, 1)
        self.left = ConvBnAct(32, 32, 1)
        self.right = ConvBnAct(32, 32, 9)
        self.head = nn.Conv2d(32, 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(self.left(x) + self.right(x))


class Twins(nn.Module):
    """Two branches with the very same weights, which the exporter stores once; costly: ``right.conv``, on more pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.left = ConvBnAct(16, 32, 5)
        self.right = ConvBnAct(16, 32, 5)
        self.right.load_state_dict(self.left.state_dict())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.left(functional.avg_pool2d(x, 8)), self.right(x)


class Borrowed(nn.Module):
    """The root's forward uses a child's weight without calling it; costly: ``heavy``, an activation between."""

    def __init__(self) -> None:
        super().__init__()
        self.light = nn.Conv2d(16, 16, 1)
        self.act = nn.SiLU()
        self.heavy = nn.Conv2d(16, 64, 7)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(self.act(self.light(x)), self.heavy.weight, self.heavy.bias, padding=3)


class Pooling(nn.Module):
    """Costly: ``pool``, between convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvBnAct(3, 32, 1)
        self.pool = nn.MaxPool2d(25, stride=1, padding=12)
        self.head = nn.Conv2d(32, 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.stem(x)))


@dataclass(frozen=True)
class Planted:
    """A network, the shape of its input, and the module that must come out on top."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    costly: str


PLANTED = {
    "conv_bn_act": Planted(Chain, (1, 3, 48, 48), "heavy.conv"),
    "conv_bn_gelu": Planted(lambda: Chain(nn.GELU), (1, 3, 48, 48), "heavy.conv"),
    "residual_main": Planted(lambda: Residual(9, 1), (1, 32, 32, 32), "second.conv2"),
    "residual_shortcut": Planted(lambda: Residual(1, 9), (1, 32, 32, 32), "second.shortcut.0"),
    "attention_products": Planted(lambda: Transformer(16, 16, 16), (1, 256, 16), "blocks.1.attn"),
    "attention_qkv": Planted(lambda: Transformer(512, 4, 512), (1, 16, 512), "blocks.1.attn.qkv"),
    "equal_branches": Planted(Branches, (1, 3, 32, 32), "right.conv"),
    "equal_weights": Planted(Twins, (1, 16, 64, 64), "right.conv"),
    "borrowed_weight": Planted(Borrowed, (1, 16, 32, 32), "heavy"),
    "pooling": Planted(Pooling, (1, 3, 48, 48), "pool"),
}


def planted(name: str) -> nn.Module:
    """The network ``name`` in eval mode, seeded, with BatchNorm statistics that are not the neutral ones."""
    torch.manual_seed(0)
    module = PLANTED[name].make()
    norms = [child for child in module.modules() if isinstance(child, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.running_mean, -0.5, 0.5)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
    if isinstance(module, Twins):
        module.right.load_state_dict(module.left.state_dict())
    return module.eval()


def export_planted(name: str, folder: Path, form: Literal["onnx", "ncnn"] = "onnx") -> Artifact:
    """Exports ``planted(name)`` into ``folder`` with one set of reference inputs."""
    module, inputs = planted(name), (TensorSpec(name="x", shape=PLANTED[name].shape),)
    reference = make_inputs(inputs, batches=1)
    results = run_module(module, reference[0])
    outputs = tuple(TensorSpec(name=f"out{i}", shape=array.shape) for i, array in enumerate(results))
    export = export_onnx if form == "onnx" else export_ncnn
    roles = export(module, inputs, outputs, folder)
    return Artifact(
        key=name,
        model=ModelIdentity(
            name=name, family="planted", source=name, source_version="", reparameterized=False, params=0, macs=0
        ),
        weights=WeightsInfo(kind="random", description="seeded", sha256=""),
        format=form,
        precision="fp32",
        inputs=inputs,
        outputs=outputs,
        files=tuple(ArtifactFile(role=role, path=path, sha256="", size_bytes=0) for role, path in roles.items()),
        reference_inputs=save_tensors(folder, "input", reference),
        fidelity=Fidelity(not_checked="only its layers' names matter"),
        tools={},
    )
