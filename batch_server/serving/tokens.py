"""The bearer tokens that a server accepts."""

import hashlib
import hmac
from pathlib import Path

from inkstream.credentials import read_tokens
from inkstream.reloading import Contents, Reloaded


class TokenFile:
    """Tokens of a file, one a line, so that an old and a new one are valid during a change.

    A new token counts at once, one that is taken out is refused within a second. A file that cannot be read, is empty
    or holds what is no token leaves the previous tokens valid, and the log says why.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be read now.
        ValueError: It holds no tokens now.
    """

    def __init__(self, path: Path):
        self._digests = Reloaded([path], _digests)

    def accepts(self, token: str) -> bool:
        """Whether a token is one of the file's, in a time that tells nothing about them."""
        given = _digest(token)
        # A client may have been given a token that was added to the file a moment ago.
        return _holds(self._digests.current(), given) or _holds(self._digests.latest(), given)


def _holds(digests: tuple[bytes, ...], given: bytes) -> bool:
    return any([hmac.compare_digest(given, digest) for digest in digests])  # all, then any


def _digests(contents: Contents) -> tuple[bytes, ...]:
    """Digests are of one length, whatever the tokens', and no dump of the process shows a token."""
    return tuple(map(_digest, read_tokens(contents)))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
