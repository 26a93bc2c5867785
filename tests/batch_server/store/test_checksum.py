import numpy as np
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_server.store.checksum import xxh32


@settings(deadline=None)
@given(data=st.binary(max_size=200), before=st.integers(0, 9), after=st.integers(0, 9), seed=st.integers(0, 2**32 - 1))
def test_equals_the_reference(data: bytes, before: int, after: int, seed: int) -> None:
    around = np.frombuffer(bytes(before) + data + bytes(after), np.uint8)
    assert xxh32(around, before, before + len(data), np.uint32(seed)) == xxhash.xxh32_intdigest(data, seed)
