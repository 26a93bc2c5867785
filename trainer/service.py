"""The data service: where batches come from, how they travel, and by what both sides know each other."""

from dataclasses import dataclass
from pathlib import Path

import inkstream
from inkstream.compression import DEFAULT_COMPRESSION

# For how long `check` asks.
_ANSWER_S = 6.0


@dataclass(frozen=True)
class Service:
    """Batch servers.

    Args:
        servers: Their addresses, as `inkstream.connect` takes them.
        tls: None for connections without encryption.
        token_file: Holds the bearer token; None for none.
        compression: How pictures travel. It changes no value, so a run may go on with another one.
    """

    servers: list[str]
    tls: inkstream.TLS | None = None
    token_file: Path | None = None
    compression: str = DEFAULT_COMPRESSION

    def connect(self) -> inkstream.Client:
        """A client of the servers.

        Raises:
            InvalidRequest: An address or a file makes no sense.
        """
        return inkstream.connect(self.servers, tls=self.tls, token_file=self.token_file)

    def check(self, dataset: str) -> None:
        """Asks for a dataset: a training waits for servers that are started after it, but who looks at one does not.

        Raises:
            UnknownDataset: No server has it.
            InkstreamError: No server answered within seconds, or all refuse.
        """
        with inkstream.connect(self.servers, tls=self.tls, token_file=self.token_file, timeout_s=_ANSWER_S) as client:
            client.dataset(dataset)
