"""What the five commands have in common: how they end when a user's input is wrong."""

from __future__ import annotations

from typing import Any

import click

from .errors import ReagingError


class Command(click.Command):
    """A click command that prints a ReagingError as one line on standard error and exits with 2."""

    def make_context(self, info_name: str | None, *args: Any, **extra: Any) -> click.Context:
        try:
            return super().make_context(info_name, *args, **extra)
        except ReagingError as error:  # an option's value
            click.echo(f"{info_name}: {error}", err=True)
            raise click.exceptions.Exit(2) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ReagingError as error:
            click.echo(f"{ctx.command_path}: {error}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo(f"{ctx.command_path}: interrupted", err=True)
            ctx.exit(130)


class Group(click.Group):
    """A click group whose commands are all of the class above."""

    command_class = Command
