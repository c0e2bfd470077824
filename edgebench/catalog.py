"""The catalogue: finds models/*.yaml and targets/*.yaml, checks them strictly, and resolves the names people type.

Nothing here imports PyTorch: listing the catalogue and suggesting names must be quick.
"""

from __future__ import annotations

import copy
import math
import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import yaml

from edgebench.errors import InvalidFile, ModelError, UnknownName, UsageError
from edgebench.files import config_root, shipped_folder, write_atomic
from edgebench.records import Artifact, CheckPolicy, ModelFamily, ModelVariant, PublishedFigure, TargetSpec, TensorSpec
from edgebench.records.artifact import MANIFEST
from edgebench.records.catalog import GateLimits
from edgebench.records.codec import convert
from edgebench.records.migrate import decode_versioned

T = TypeVar("T")
Kind = Literal["catalogue", "timm", "torchvision", "factory", "onnx", "ncnn", "artifact"]

_FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_PACKAGE = re.compile(r"(timm|torchvision):[\w.\-/]+")
_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*")
_STEP = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")
_UNKNOWN_KEY = re.compile(r"unknown field `(?P<key>[^`]*)`")
_FORMS = (
    "a catalogue name (edgebench models), timm:NAME, torchvision:NAME, package.module:factory, FILE.onnx, FILE.param or a"
    " folder of edgebench export"
)


@dataclass(frozen=True)
class ResolvedModel:
    """One network that a name stands for.

    ``build`` is what export/build.py understands (``timm:NAME``, ``torchvision:NAME``, ``package.module:factory``); for a
    file it is the path as it was given, and ``path`` is that file; for an artifact that was made before, its folder. ``format``
    is the only one that a file or an artifact has. ``inputs`` is None where only the model itself knows them (timm:,
    torchvision:, factories and files); the counts are None for all but the catalogue.
    """

    name: str
    family: str
    build: str
    kind: Kind
    source: str
    inputs: tuple[TensorSpec, ...] | None = None
    params_m: float | None = None
    macs_m: float | None = None
    published: tuple[PublishedFigure, ...] = ()
    path: Path | None = None
    format: str | None = None


class _StrictLoader(yaml.SafeLoader):
    """YAML without its silent traps: a key given twice (the last would win) and numbers that are not finite."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[object] = set()
    for key_node, _value in node.value:
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else id(key_node)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


def _float(loader: _StrictLoader, node: yaml.ScalarNode) -> float:
    value = loader.construct_yaml_float(node)
    if not math.isfinite(value):
        raise yaml.constructor.ConstructorError(None, None, f"{node.value} is not a finite number", node.start_mark)
    return float(value)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_StrictLoader.add_constructor("tag:yaml.org,2002:float", _float)


def load_models(folder: Path | None = None) -> dict[str, ModelFamily]:
    """All model families by name: ours, the person's own, then those in the folders of $EDGEBENCH_MODELS.

    With ``folder`` those of that folder alone.
    Raises InvalidFile with the file and the path to the key that is wrong, also for a variant or family given twice.
    """
    families: dict[str, ModelFamily] = {}
    owner: dict[str, Path] = {}
    for path in _yaml_files("models", "EDGEBENCH_MODELS", folder):
        family = read_yaml(ModelFamily, path)
        _check_family(family, path)
        for key, where in [(family.family, "$.family"), *((name, f"$.variants.{name}") for name in family.variants)]:
            if key in owner and owner[key] != path:
                raise _invalid(path, where, f"the name {key!r} is already taken by {owner[key]}", "choose another name")
            owner[key] = path
        families[family.family] = family
    return families


def load_targets(folder: Path | None = None) -> dict[str, TargetSpec]:
    """All targets by name: ours, the person's own (``add_target``), then those in the folders of $EDGEBENCH_TARGETS; or those
    of ``folder`` alone.

    Raises InvalidFile as ``load_models`` does.
    """
    targets: dict[str, TargetSpec] = {}
    for path in _yaml_files("targets", "EDGEBENCH_TARGETS", folder):
        target = _read_target(path)
        if target.name in targets:
            raise _invalid(path, "$.name", f"a target named {target.name!r} is there already", "choose another name")
        targets[target.name] = target
    return targets


def add_target(target: TargetSpec) -> Path:
    """Keeps ``target`` among the person's own; its file. Raises UsageError for a name that is taken, or is none."""
    if not _NAME.fullmatch(target.name):
        raise UsageError(f"{target.name!r} is no name", hint="letters, digits, '_', '-' and '.' make a name")
    if target.name in load_targets():
        raise UsageError(f"there is a target named {target.name!r} already", hint="choose another name")
    path = config_root() / "targets" / f"{target.name}.yaml"
    values = _without_nothing(msgspec.to_builtins(target))
    write_atomic(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True).encode())
    return path


def _without_nothing(values: dict[str, Any]) -> dict[str, Any]:
    """The same without keys that say nothing, at any depth."""
    return {
        key: _without_nothing(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }


def resolve_model(name: str) -> list[ResolvedModel]:
    """The networks that ``name`` stands for: a family's default variants, one variant, or one network from elsewhere.

    Raises UnknownName with the nearest names, ModelError for a file that is not there, InvalidFile for a bad catalogue.
    """
    if name.endswith((".onnx", ".param")):
        return [_from_file(name)]
    if (Path(name) / MANIFEST).is_file():
        return [_from_artifact(Path(name))]
    if _PACKAGE.fullmatch(name):
        package, _, model = name.partition(":")
        kind: Kind = "timm" if package == "timm" else "torchvision"
        return [ResolvedModel(name=name, family=model, build=name, kind=kind, source=package)]
    if ".py" in (file := Path(name.partition(":")[0])).suffix:
        factory = name.partition(":")[2] or "FACTORY"
        raise ModelError(
            f"{name} names a file, a model is named by its module",
            hint=f"in the folder of {file.name}: {file.stem}:{factory}, a function that returns the network",
        )
    if _FACTORY.fullmatch(name):
        module, _, factory = name.partition(":")
        return [ResolvedModel(name=name, family=factory, build=name, kind="factory", source=module)]
    families = load_models()
    if name in families:
        family = families[name]
        return [_from_catalogue(family, variant) for variant in family.default]
    for family in families.values():
        if name in family.variants:
            return [_from_catalogue(family, name)]
    known = sorted({*families, *(variant for family in families.values() for variant in family.variants)})
    raise UnknownName("model", name, known, hint=f"a model is {_FORMS}")


def resolve_target(name: str) -> TargetSpec:
    """The target of that name, or the one in the .yaml file at that path. Raises UnknownName or InvalidFile."""
    if name.endswith((".yaml", ".yml")):
        return _read_target(Path(name))
    targets = load_targets()
    if name not in targets:
        raise UnknownName("target", name, sorted(targets), hint="list them with: edgebench targets")
    return targets[name]


def _from_catalogue(family: ModelFamily, name: str) -> ResolvedModel:
    variant = family.variants[name]
    return ResolvedModel(
        name=name,
        family=family.family,
        build=variant.build,
        kind="catalogue",
        source=family.source,
        inputs=tuple(TensorSpec(name=key, shape=shape) for key, shape in variant.inputs.items()),
        params_m=variant.params_m,
        macs_m=variant.macs_m,
        published=variant.published,
    )


def _from_file(name: str) -> ResolvedModel:
    path = Path(name)
    kind: Kind = "onnx" if path.suffix == ".onnx" else "ncnn"
    needed = [path] if kind == "onnx" else [path, path.with_suffix(".bin")]
    for file in needed:
        if not file.is_file():
            raise ModelError(f"there is no file {file}", hint="check the path; an ncnn .param needs its .bin beside it")
    return ResolvedModel(name=path.stem, family=path.stem, build=name, kind=kind, source=name, path=path, format=kind)


def _from_artifact(folder: Path) -> ResolvedModel:
    manifest = folder / MANIFEST
    made = decode_versioned(Artifact, manifest.read_bytes(), path=str(manifest))
    name, family, source = made.model.name, made.model.family, made.model.source
    return ResolvedModel(name, family, str(folder), "artifact", source, path=folder, format=made.format)


def _yaml_files(kind: str, variable: str, folder: Path | None) -> list[Path]:
    """The .yaml files of ``folder``, or of our catalogue and then the person's own folders; each folder in name order."""
    if folder is not None:
        folders = [folder]
    else:
        own = config_root() / kind
        folders = [shipped_folder(kind), *([own] if own.is_dir() else [])]
        folders += [Path(part) for part in os.environ.get(variable, "").split(os.pathsep) if part]
    for each in folders:
        if not each.is_dir():
            raise _invalid(each, "", "there is no such folder", f"{variable} lists folders of .yaml files")
    return [path for each in folders for path in sorted(each.glob("*.yaml"))]


def read_yaml(kind: type[T], path: Path) -> T:
    """One YAML file as a record. Raises InvalidFile with the path to what is wrong."""
    try:
        # The loader is a SafeLoader; ruff only knows the stock one.
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}" if mark else ""
        raise _invalid(path, where, error.problem or "not YAML", "correct the YAML at that line") from error
    except OSError as error:
        raise _invalid(path, "", f"cannot be read: {error.strerror}", "check the path") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise _invalid(path, "", f"is not YAML: {error}", "it must be text in UTF-8") from error
    try:
        return convert(kind, value, path=str(path), hint="correct that key")
    except InvalidFile as error:
        where = _exact_path(kind, value, error.where)
        problem = error.message.removeprefix(f"{path} at {error.where}: ").removeprefix(f"{path}: ")
        unknown = _UNKNOWN_KEY.search(problem)
        if unknown is None:
            raise _invalid(path, where, problem, "correct the value at that key") from error
        near = get_close_matches(unknown["key"], _known_keys(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"remove it; the keys are {', '.join(_known_keys())}"
        raise _invalid(path, f"{where}.{unknown['key']}", "there is no such key", hint) from error


def _exact_path(kind: type[Any], value: object, where: str) -> str:
    """``where`` with the keys named that msgspec leaves as ``[...]``, its step into a mapping of free keys.

    Such a step goes through the first key whose mapping, cut down to that key alone, still fails at ``where``.
    """
    value = copy.deepcopy(value)
    node: Any = value
    exact = "$"
    for name, index in _STEP.findall(where):
        key: Any = int(index) if index.isdigit() else name
        if index == "...":
            key = _key_at_fault(kind, value, node, where)
            if key is None:
                return where
            exact += f".{key}"
        else:
            exact += f"[{index}]" if index else f".{name}"
        node = node[key]
    return exact


def _key_at_fault(kind: type[Any], value: object, mapping: dict[str, object], where: str) -> str | None:
    """The key of ``mapping`` (a part of ``value``) through which ``where`` leads; ``mapping`` is cut down to it.

    None where no key alone brings the fault about (mappings that YAML aliases share).
    """
    entries = dict(mapping)
    for key, entry in entries.items():
        mapping.clear()
        mapping[key] = entry
        try:
            convert(kind, value, path="", hint="")
        except InvalidFile as error:
            if error.where == where:
                return key
    return None


def _known_keys() -> list[str]:
    records = (ModelFamily, ModelVariant, PublishedFigure, TargetSpec, GateLimits, CheckPolicy)
    return sorted({field.name for record in records for field in msgspec.structs.fields(record)})


def _check_family(family: ModelFamily, path: Path) -> None:
    """What types cannot say. Raises InvalidFile with the path to the key."""
    if family.family != path.stem:
        raise _invalid(path, "$.family", f"is {family.family!r}, the file is {path.name}", "give both the same name")
    for index, name in enumerate(family.default):
        if name not in family.variants:
            raise _invalid(path, f"$.default[{index}]", f"there is no variant {name!r}", "name one of the variants")
    if family.family in family.variants and family.default != (family.family,):
        problem = "a variant that bears the family's name must be its one default"
        raise _invalid(path, "$.default", problem, "rename the variant, or make it the default")
    for name, variant in family.variants.items():
        _check_variant(name, variant, path)


def _check_variant(name: str, variant: ModelVariant, path: Path) -> None:
    where = f"$.variants.{name}"
    if not _NAME.fullmatch(name):
        raise _invalid(path, where, "is no name", "letters, digits, '_', '-' and '.' make a name")
    if not (_PACKAGE.fullmatch(variant.build) or _FACTORY.fullmatch(variant.build)):
        forms = "timm:NAME, torchvision:NAME or package.module:factory"
        raise _invalid(path, f"{where}.build", f"{variant.build!r} cannot be built", f"write {forms}")
    if not variant.inputs:
        raise _invalid(path, f"{where}.inputs", "is empty", "name each input and its shape")
    for key, shape in variant.inputs.items():
        if shape[0] != 1:
            raise _invalid(path, f"{where}.inputs.{key}[0]", f"is {shape[0]}, not 1", "shapes start with batch 1")


def _read_target(path: Path) -> TargetSpec:
    target = read_yaml(TargetSpec, path)
    if target.name != path.stem:
        raise _invalid(path, "$.name", f"is {target.name!r}, the file is {path.name}", "give both the same name")
    if target.serial is not None and target.address is not None:
        raise _invalid(path, "$.address", "there is a serial, too", "name the device by one of the two")
    named = [key for key in ("serial", "address", "model", "abi", "python") if getattr(target, key) is not None]
    if target.platform == "host" and named:
        raise _invalid(
            path, f"$.{named[0]}", "says which phone, the platform is host", "write platform: android or linux"
        )
    if target.platform == "android" and target.python is not None:
        raise _invalid(path, "$.python", "is a board's, the platform is android", "leave it out: phones run ncnn alone")
    if target.platform == "linux" and target.serial is not None:
        raise _invalid(path, "$.serial", "is a phone's, the platform is linux", "write address: [user@]host[:port]")
    return target


def _invalid(path: Path, where: str, problem: str, hint: str) -> InvalidFile:
    return InvalidFile(str(path), where, problem, hint=hint)
