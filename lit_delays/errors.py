"""The one error that is the user's to mend: the command line prints it as a single line."""


class InputError(ValueError):
    """A wrong argument, file or configuration; its text says what to do instead."""
