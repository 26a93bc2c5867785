"""What an LMDB dataset holds and how its values are laid out; all numbers are little-endian.

A dataset is one LMDB environment in one file. Its named databases have keys that count from 0 (uint64, big-endian):

    records            pages of 1,024 records (pages.py)
    label, key_id...   columns, in blocks of 65,536 values (columns.py)
    rejects            rows that the import turned away, in values of JSON lines, each compressed by zlib
    duplicates         rows that came again, likewise
    log                what the import did, likewise

and in the main database:

    README             a sentence for whoever opens the file with another tool
    index              for the values of each database in turn, where in the file they begin and how long they are:
                       int64 [values, 2]
    manifest           a JSON object
    finished           the number of the last transaction, uint64: a file without it is unfinished

Columns, lists, index and manifest are sealed, that is, preceded by the XXH3-64 of what follows; records have checksums
of their own. Short values of named databases are padded with zeros (lmdb_file.py says why); their length in the index
is the one without padding.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import xxhash

from batch_server.store.errors import UnreadableDataset

SCHEMA_VERSION = 1

RECORDS = "records"
LISTS = ("rejects", "duplicates", "log")
INDEX, MANIFEST = b"index", b"manifest"

SEAL_BYTES = 8


@dataclass(frozen=True)
class Manifest:
    """What a dataset says about itself.

    Args:
        schema_version: Of the layout, `SCHEMA_VERSION`.
        kind: Name of the kind of sample.
        classes: Class names in label order; empty for a dataset without labels.
        samples: Number of samples.
        class_counts: Samples of each class.
        unlabelled: Samples without a label.
        fingerprint: Hex digest of schema, kind, classes and, in order, every record and column.
        rejected: Rows that the import turned away.
        duplicates: Rows whose key id had come before; not among the rejected.
        values: Number of values of each database, in the order of the index.
        extra: What the importer wants to remember: sources, options.
    """

    schema_version: int
    kind: str
    classes: tuple[str, ...]
    samples: int
    class_counts: tuple[int, ...]
    unlabelled: int
    fingerprint: str
    rejected: int
    duplicates: int
    values: dict[str, int]
    extra: dict[str, Any]

    def to_json(self) -> bytes:
        """A JSON object with a member for each field."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, text: bytes, path: Path) -> "Manifest":
        """Reads what `to_json` wrote.

        Raises:
            UnreadableDataset: It is of another schema.
        """
        members = json.loads(text)
        version = members.get("schema_version")
        if version != SCHEMA_VERSION:
            raise UnreadableDataset(
                path, f"has schema version {version}, this program reads {SCHEMA_VERSION}: import the sources again"
            )
        return cls(**members | {name: tuple(members[name]) for name in ("classes", "class_counts")})


def seal(payload: bytes | memoryview) -> bytes:
    """Puts the checksum before a value."""
    return xxhash.xxh3_64_intdigest(payload).to_bytes(SEAL_BYTES, "little") + bytes(payload)


def is_sealed(value: bytes | memoryview) -> bool:
    """Whether a sealed value matches its checksum."""
    return xxhash.xxh3_64_intdigest(value[SEAL_BYTES:]).to_bytes(SEAL_BYTES, "little") == value[:SEAL_BYTES]
