"""The one error that a user can cause, and how a command shows it."""

from __future__ import annotations


class ReagingError(Exception):
    """Something a user can mend: what happened, what was expected, what to do.

    The commands print it as one line on standard error and exit with 2; anything else is a bug and keeps its traceback.
    """

    def __init__(self, what: str, expected: str, remedy: str):
        self.what, self.expected, self.remedy = what, expected, remedy
        super().__init__(what, expected, remedy)

    def __str__(self) -> str:
        return " ".join(f"{self.what}; expected {self.expected}; {self.remedy}".split())
