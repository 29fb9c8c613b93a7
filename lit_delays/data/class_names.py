"""Names of classes: what they may be, whoever gave them. They reach tables, terminals and model cards."""

from collections.abc import Sequence

from lit_delays.errors import InputError

MAX_LENGTH = 200  # characters of a name
MAX_TOTAL = 2**20  # of all; 35 words of Speech Commands have 160
SHOWN = 20  # names in a message


def check_class_names(names: Sequence[str], where: str) -> None:
    """Refuse names that cannot be printed, or tell two classes apart.

    Args:
        names: By label.
        where: What messages call them.

    Raises:
        InputError: Names the rule and the first class that breaks it.
    """
    first: dict[str, int] = {}
    for label, name in enumerate(names):
        if not (name and name.isprintable() and len(name) <= MAX_LENGTH):
            raise InputError(
                f"{where} of class {label} must be 1 to {MAX_LENGTH} printable characters, got {name[:20]!a}."
            )
        if (other := first.setdefault(name, label)) != label:
            raise InputError(f"{where} must differ, got {name[:20]!a} for class {other} and class {label}.")
    if (total := sum(map(len, names))) > MAX_TOTAL:
        raise InputError(f"{where} must have at most {MAX_TOTAL:,} characters in all, got {total:,}.")


def listed(names: Sequence[str]) -> str:
    """The names for a message, or the first of them and how many there are.

    Example:
        >>> listed(["yes", "no"])
        'yes, no'
    """
    more = f", ... ({len(names):,} in all)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
