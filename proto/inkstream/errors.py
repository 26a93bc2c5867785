"""The errors of the client library.

InkstreamError
├── InvalidPipeline      (ValueError)       a setting breaks its rule; `.violations`
├── InvalidRequest       (ValueError)       a position, shard or option makes no sense
├── EmptySplit           (ValueError)       no sample passes split and filter, or none is left by drop
├── UnknownDataset       (LookupError)      no such dataset on the server
├── ServerMismatch       (RuntimeError)     a server's data or renderer are not the run's
├── ServersDisagree      (RuntimeError)     two servers send different rows for one position
├── RottenData           (RuntimeError)     a record of the dataset does not match its checksum
├── CorruptChunk         (RuntimeError)     what arrived does not match its checksum
├── AccessDenied         (PermissionError)  a token or certificate is missing or wrong
├── ServerUnavailable    (ConnectionError)  no server answers
│   ├── ServerFull                          all its streams are taken; `.retry_after_s`
│   └── ServerDraining                      it is stopping; `.retry_after_s`
├── DeadlineExceeded     (TimeoutError)     an answer did not come in time
├── ServerFailure        (RuntimeError)     an unexpected failure in the server, named by an id in its log
├── ForkedClient         (RuntimeError)     a client was used in a forked child
└── MissingFramework     (ImportError)      an adapter's framework is not installed
"""

from collections.abc import Sequence
from typing import NamedTuple


class Violation(NamedTuple):
    """One broken rule: the field's path, as in `render.size`, and the rule with the value and the remedy."""

    field: str
    rule: str

    def __str__(self) -> str:
        return f"{self.field} {self.rule}"


class InkstreamError(Exception):
    """Every error that this library raises on purpose."""


class InvalidPipeline(InkstreamError, ValueError):
    """A setting of a pipeline breaks its rule."""

    def __init__(self, violations: Sequence[Violation]):
        self.violations = tuple(violations)
        super().__init__("; ".join(str(violation) for violation in self.violations))

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.violations,)


class InvalidRequest(InkstreamError, ValueError):
    """A position, a shard or an option makes no sense."""


class EmptySplit(InkstreamError, ValueError):
    """No sample passes split and filter, or `drop` leaves no batch."""


class UnknownDataset(InkstreamError, LookupError):
    """The server has no such dataset."""


class ServerMismatch(InkstreamError, RuntimeError):
    """A server's dataset, renderer version or self-test is not the run's."""


class ServersDisagree(InkstreamError, RuntimeError):
    """Two servers that claim to be the run's send different rows for one position, each with a right checksum."""


class RottenData(InkstreamError, RuntimeError):
    """A record or column of the dataset does not match its checksum."""


class CorruptChunk(InkstreamError, RuntimeError):
    """What arrived does not match its checksum or the contract."""


class AccessDenied(InkstreamError, PermissionError):
    """A token or a certificate is missing or wrong, the client's or the server's."""


class ServerUnavailable(InkstreamError, ConnectionError):
    """No server answers."""

    def __init__(self, message: str, retry_after_s: float = 0.0):
        self.retry_after_s = retry_after_s
        super().__init__(message)


class ServerFull(ServerUnavailable):
    """All streams or bytes of the server are taken."""


class ServerDraining(ServerUnavailable):
    """The server is stopping."""


class DeadlineExceeded(InkstreamError, TimeoutError):
    """An answer did not come in time."""


class ServerFailure(InkstreamError, RuntimeError):
    """An unexpected failure in the server; its log explains the id."""


class ForkedClient(InkstreamError, RuntimeError):
    """A client was used in a forked child: connect there instead."""


class MissingFramework(InkstreamError, ImportError):
    """The framework of an adapter is not installed, or too old."""
