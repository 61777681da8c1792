"""The error for what the user can repair."""


class UserError(ValueError):
    """A mistake in what the user gave: the message says what is wrong, where, and how to mend it.

    The command line prints it as one sentence and exits with code 2; in Python it is a ValueError.
    """


class UserNotice(UserWarning):
    """Something about the input that the user should know, in one sentence; work goes on."""
