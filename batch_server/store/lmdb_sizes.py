"""Whether the values of an LMDB file lie within it.

LMDB believes the size that it finds beside a key: one flipped bit there, and reading the value runs past the map, which
kills the process (SIGSEGV). So the sizes are looked at before LMDB is asked for a value. Layout: `MDB_page`, `MDB_meta`
and `MDB_node` in mdb.c of LMDB 0.9, as 64-bit little-endian machines write them.
"""

import mmap
import struct

_PAGE_HEADER_BYTES = 16
_ROOT_AT, _TRANSACTION_AT = 128, 144  # in a meta page, header included; the root is that of the main database
_FLAGS_AND_LOWER = struct.Struct("<10xHH")  # what kind of page, and where its list of nodes ends
_NODE = struct.Struct("<HHHH")  # low and high half of the size, flags, length of the key; then the key
_NUMBER = struct.Struct("<Q")
_BRANCH_PAGE, _IN_OVERFLOW_PAGES = 1, 1
# The main database has a dozen keys: more pages than this are no tree.
_MOST_PAGES = 64


def values_fit(file: mmap.mmap, page_bytes: int) -> bool:
    """Whether every value of the main database that has pages of its own ends within the file.

    Args:
        file: The whole file, at least its two meta pages.
        page_bytes: Size of a page.
    """
    newest = max(0, page_bytes, key=lambda meta: _NUMBER.unpack_from(file, meta + _TRANSACTION_AT))
    pages = list(_NUMBER.unpack_from(file, newest + _ROOT_AT))
    try:
        for page in pages:
            start = page * page_bytes
            kind, lower = _FLAGS_AND_LOWER.unpack_from(file, start)
            nodes = struct.unpack_from(f"<{(lower - _PAGE_HEADER_BYTES) // 2}H", file, start + _PAGE_HEADER_BYTES)
            for node in nodes:
                low, high, flags, key_bytes = _NODE.unpack_from(file, start + node)
                if kind & _BRANCH_PAGE:
                    pages.append(low | high << 16 | flags << 32)
                elif flags & _IN_OVERFLOW_PAGES:
                    (first,) = _NUMBER.unpack_from(file, start + node + _NODE.size + key_bytes)
                    if first * page_bytes + _PAGE_HEADER_BYTES + (low | high << 16) > len(file):
                        return False
            if len(pages) > _MOST_PAGES:
                return False
    except (struct.error, OverflowError):  # a page or a node outside of the file, or of any
        return False
    return True
