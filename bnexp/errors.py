"""The one exception that means: the user can mend this."""


class UserError(Exception):
    """A mistake of the user's, told in one message.

    The message names the argument, the rule, the value received and the cure. `python -m bnexp` prints it on standard
    error without a traceback and exits with a non-zero status.
    """
