"""What a look at a machine came to."""

from typing import Literal, NamedTuple

State = Literal["ok", "warn", "fail"]


class Finding(NamedTuple):
    """What one look at the machine came to.

    Attributes:
        state: ``fail`` if runs cannot work, ``warn`` if some cannot, or may be slow.
        what: What was looked at.
        found: What was there.
        advice: What to do about it.
    """

    state: State
    what: str
    found: str
    advice: str = ""

    def __str__(self) -> str:
        lines = f"{self.state:5}{self.what:13}{self.found}"
        return f"{lines}\n{'':18}-> {self.advice}" if self.advice else lines
