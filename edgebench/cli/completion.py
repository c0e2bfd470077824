"""``edgebench completion``: the script that lets a shell complete verbs, options, models, targets and runtimes."""

from __future__ import annotations

import click

from edgebench.cli.context import json_option, print_json

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@json_option
@click.pass_context
def command(ctx: click.Context, shell: str, as_json: bool) -> None:
    """Print the completion script of a shell, for its start-up file.

    \b
    Examples:
      edgebench completion bash >> ~/.bashrc
      edgebench completion zsh >> ~/.zshrc
      edgebench completion fish > ~/.config/fish/completions/edgebench.fish
    """
    from click.shell_completion import get_completion_class

    program = ctx.find_root().info_name or "edgebench"
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"this version of click has no completion for {shell}", ctx=ctx)
    script = kind(ctx.find_root().command, {}, program, f"_{program.upper()}_COMPLETE").source()
    if as_json:
        print_json({"shell": shell, "script": script})
    else:
        click.echo(script)
