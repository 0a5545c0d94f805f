"""The one error that a user can cause, and how a command shows it."""

from __future__ import annotations

LONGEST = 1000  # characters of an error's line: a name may have four times as many


class ReagingError(Exception):
    """Something a user can mend: what happened, what was expected, what to do.

    The commands print it as one line on standard error and exit with 2; anything else is a bug and keeps its traceback.
    """

    def __init__(self, what: str, expected: str, remedy: str):
        self.what, self.expected, self.remedy = what, expected, remedy
        super().__init__(what, expected, remedy)

    def __str__(self) -> str:
        """One line, whatever stands in the names of files: what a terminal would obey is shown as it is written in Python."""
        line = " ".join(f"{self.what}; expected {self.expected}; {self.remedy}".split())
        line = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in line)
        return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
