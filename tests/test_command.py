import click
from click.testing import CliRunner

from reaging.ages import parse_age
from reaging.command import Command, Group
from reaging.errors import ReagingError


def test_a_users_error_is_one_line_and_exit_code_2():
    @click.command(cls=Command)
    @click.option("--age", type=lambda text: parse_age(text))
    def grow(age):
        raise ReagingError("no face\nhere", "a face", "show one")

    for arguments, says in (([], "no face here; expected a face; show one"), (["--age", "old"], "age 'old' is not usable")):
        result = CliRunner().invoke(grow, arguments)
        assert result.exit_code == 2 and says in result.output and result.output.count("\n") == 1


def test_in_a_group_too():
    group = Group("faces")

    @group.command("grow")
    def grow():
        raise ReagingError("a", "b", "c")

    result = CliRunner().invoke(group, ["grow"])
    assert result.exit_code == 2 and result.output == "faces grow: a; expected b; c\n"
