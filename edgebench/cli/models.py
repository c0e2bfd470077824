"""``edgebench models``: what can be measured by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from edgebench.cli.context import json_option, print_json

if TYPE_CHECKING:
    from edgebench.records import ModelFamily, ModelVariant, PublishedFigure

_BEYOND = """\
* is what the family name alone stands for. Counts are of the fused form, for batch 1, in millions.
Published figures were measured by others, on other devices and runtimes: no comparison with yours.

Beyond the catalogue, wherever a model is named:
  timm:NAME  torchvision:NAME    any network of these packages, such as timm:resnet18
  package.module:factory         a function of yours that returns a torch.nn.Module
  FILE.onnx                      any ONNX file
  FILE.param                     an ncnn network, with its .bin beside it
  folders in $EDGEBENCH_MODELS   your own catalogue files, written like those in models/"""


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List the models of the catalogue, by family.

    \b
    Examples:
      edgebench models
      edgebench models --json | jq -r '.models[] | select(.macs_m < 300) | .name'
      edgebench run mobileone          # the family's default, marked * in the list
      edgebench run mobileone_s2       # one variant
    """
    from edgebench.catalog import load_models

    families = load_models().values()
    if as_json:
        print_json({"models": [_document(family, name) for family in families for name in family.variants]})
    else:
        click.echo("\n".join(_lines(families)))


def _document(family: ModelFamily, name: str) -> dict[str, Any]:
    variant = family.variants[name]
    return {
        "name": name,
        "family": family.family,
        "params_m": variant.params_m,
        "macs_m": variant.macs_m,
        "inputs": variant.inputs,
        "source": family.source,
    }


def _lines(families: Iterable[ModelFamily]) -> Iterable[str]:
    families = list(families)
    width = max((len(name) for family in families for name in family.variants), default=0)
    for family in families:
        yield f"{click.style(family.family, bold=True)}  {family.summary}  [{family.source}]"
        for name, variant in family.variants.items():
            star = "*" if name in family.default else " "
            counts = f"{variant.params_m:8.2f} M params {variant.macs_m:9.1f} M MACs"
            yield f"  {star} {name:{width}} {counts}  {_inputs(variant)}{_published(variant.published)}"
        yield ""
    yield _BEYOND


def _inputs(variant: ModelVariant) -> str:
    shapes = ("x".join(map(str, shape)) for shape in variant.inputs.values())
    return " + ".join(shapes)


def _published(figures: Iterable[PublishedFigure]) -> str:
    notes = (
        f"{'at least ' if each.at_least else ''}{each.value:g} {each.unit} on {each.device}, {each.runtime}"
        for each in figures
    )
    joined = "; ".join(notes)
    return f"  (published: {joined})" if joined else ""
