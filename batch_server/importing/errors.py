"""Why an import does not come to its end.

ImportRefused (ValueError)   what was asked for makes no sense; nothing has been done
ImportFailed (RuntimeError)  something outside failed; the message says whether running it again goes on
"""


class ImportRefused(ValueError):
    """The request cannot be carried out: the message states rule, value and remedy."""


class ImportFailed(RuntimeError):
    """The import could not be finished."""
