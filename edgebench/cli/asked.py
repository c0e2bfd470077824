"""The checks that are asked for: by flags, or by a policy file, whose keys are the same flags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import click

from edgebench.catalog import read_yaml
from edgebench.cli.options import MeasuringFlags, flags_given
from edgebench.errors import InvalidFile, UsageError
from edgebench.records import CheckPolicy

# What the verdict's own rule decides.
_DECIDED = {each: f"--{each}" for each in ("launches", "ci", "sessions", "strict")} | {"builds": "--rebuilds"}
# What is said of all checks of a policy, by the names of parameters.
_WHERE = ("runs_dir", "baselines_dir")
_NOT_OF_A_CHECK = ("policy", "resume", "as_json", "junit", "markdown", "svg", "annotations", *_WHERE)


@dataclass(frozen=True)
class Asked:
    """One check as it is asked for; ``given`` are the flags that were not left to their defaults."""

    name: str
    baseline: str
    candidate: str
    budget: float
    memory_budget: float
    size_budget: float
    unpaired: bool
    flags: MeasuringFlags
    baselines_dir: Path
    given: frozenset[str]


def asked_from(
    ctx: click.Context,
    name: str,
    where: str = "--baseline MODEL --candidate MODEL, or --policy FILE",
    given: Sequence[str] | None = None,
) -> Asked:
    """One check from parsed flags, of which ``given`` are no defaults. Raises UsageError."""
    given_here = flags_given() if given is None else set(given)
    if clash := sorted(_DECIDED[each] for each in given_here & _DECIDED.keys()):
        raise UsageError(f"a check takes no {', '.join(clash)}: its rule decides that", hint="leave them out")
    values = ctx.params
    if values["baseline"] is None or values["candidate"] is None:
        raise UsageError("a check has a baseline and a candidate", hint=f"give {where}")
    return Asked(
        name=name or f"{values['candidate']} against {values['baseline']}",
        flags=flags_of(ctx),
        given=frozenset(given_here),
        **{name: values[name] for name in ("baseline", "candidate", "budget", "memory_budget", "size_budget")},
        **{name: values[name] for name in ("unpaired", "baselines_dir")},
    )


def flags_of(ctx: click.Context) -> MeasuringFlags:
    """How to measure, as it was said."""
    return MeasuringFlags(**{field.name: ctx.params[field.name] for field in fields(MeasuringFlags)})


def of_policy(ctx: click.Context, path: Path) -> list[Asked]:
    """The checks of a policy file: each is parsed as a command line of its own would be. Raises InvalidFile, UsageError."""
    found = read_yaml(CheckPolicy, path)
    options = [option for option in ctx.command.params if isinstance(option, click.Option)]
    given = [
        name
        for name in ctx.params
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE and name not in _NOT_OF_A_CHECK
    ]
    if sides := sorted({"baseline", "candidate"}.intersection(given)):
        raise UsageError(f"a policy names its sides itself: --{' and --'.join(sides)}", hint="leave one of the two out")
    asked = []
    for name, own in found.checks.items():
        where = f"$.checks.{name}"
        flags = {**found.defaults, **own}
        words = [
            word for key, value in flags.items() for word in _words(key, value, options, f"{path}", f"{where}.{key}")
        ]
        try:
            with ctx.command.make_context(f"{ctx.info_name} {name}", words, parent=ctx) as own_ctx:
                said = [
                    each
                    for each in own_ctx.params
                    if own_ctx.get_parameter_source(each) is click.core.ParameterSource.COMMANDLINE
                ]
                # What the command line says holds where the policy says nothing.
                common = [each for each in given if each not in said]
                own_ctx.params.update({each: ctx.params[each] for each in (*common, *_WHERE)})
                asked.append(asked_from(own_ctx, name, where="baseline and candidate", given=(*said, *common)))
        except click.ClickException as error:
            hint = "its keys are flags of edgebench check, without the dashes"
            raise InvalidFile(str(path), where, error.format_message(), hint=hint) from error
        except UsageError as error:
            raise InvalidFile(str(path), where, error.message, hint=error.hint) from error
    return asked


def _words(key: str, value: str | float | bool, options: Sequence[click.Option], path: str, where: str) -> list[str]:
    """A key of a policy as words of a command line. Raises InvalidFile."""
    flag = f"--{key}"
    option = next((each for each in options if flag in (*each.opts, *each.secondary_opts)), None)
    if key == "help" or (option is not None and option.name in _NOT_OF_A_CHECK):
        raise InvalidFile(path, where, "is no flag of one check", hint="give it on the command line")
    if option is None or not option.is_flag:
        return [flag, str(value)]
    if not isinstance(value, bool):
        raise InvalidFile(path, where, f"{value!r} is neither true nor false", hint="write true or false")
    wanted = value == (flag in option.opts)
    if wanted:
        return [option.opts[0]]
    return [option.secondary_opts[0]] if option.secondary_opts else []
