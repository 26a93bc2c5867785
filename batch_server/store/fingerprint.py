"""The fingerprint of a dataset: made when it is written, and again when it is verified."""

import hashlib
import json
from collections.abc import Sequence

import xxhash

from batch_server.store.kinds import Kind
from batch_server.store.schema import RECORDS, SCHEMA_VERSION


class Fingerprint:
    """Takes in the values of a dataset in order; those of different databases may come in turns.

    XXH3-128 digests each value, BLAKE2b the digests: at the speed of memory, and with no second value of equal digest
    by accident.
    """

    def __init__(self, kind: Kind):
        """Begins without values.

        Args:
            kind: Of the samples.
        """
        self._kind = kind
        self._digests = {name: hashlib.blake2b(digest_size=16) for name in (RECORDS, *kind.columns)}

    @property
    def databases(self) -> tuple[str, ...]:
        """Names of the databases that it covers, in order."""
        return tuple(self._digests)

    def add(self, database: str, value: bytes | memoryview) -> None:
        """Takes in the next value of a database: a page of records, or a sealed block of a column."""
        self._digests[database].update(xxhash.xxh3_128_digest(value))

    def hexdigest(self, classes: Sequence[str], samples: int) -> str:
        """Of schema, kind, classes, number of samples and, in order, every page and block."""
        header = {
            "schema_version": SCHEMA_VERSION,
            "kind": self._kind.name,
            "classes": classes,
            "samples": samples,
        }
        state = hashlib.blake2b(json.dumps(header).encode(), digest_size=16)
        for name, digest in self._digests.items():
            state.update(name.encode() + b"\0" + digest.digest())
        return state.hexdigest()
