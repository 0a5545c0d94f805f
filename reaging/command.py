"""What the five commands have in common: how they end when a user's input is wrong."""

from __future__ import annotations

from typing import Any

import click

from .errors import ReagingError


class Command(click.Command):
    """A click command that prints a ReagingError as one line on standard error and exits with 2."""

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


class AgeType(click.ParamType):
    """An age in years, 0 to 100."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from .ages import parse_age

        return parse_age(value)
