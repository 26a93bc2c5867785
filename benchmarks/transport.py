"""What the transport's settings are worth: drawings per second and processor time with each, beside the default.

`python -m benchmarks.transport [TABLE...]`. Every row is a real `batch-server serve` and a real client, each in a
process of its own, on the same cores and over loopback. Rounds alternate between the rows, each beginning at another
one, and ratios are medians of ratios within a round; the last row is the first one again: by so much equal settings
differ. Settings that no user needs are constants of the product: `benchmarks.varied` changes them.
"""

import argparse
import statistics
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.dataset import imported_dataset
from benchmarks.processes import Consumer, Seen, Setting, Workload, consuming, median, serving
from benchmarks.table import Table

ROUNDS = 7
_AGAIN = "default, again"

_CLIENT_OPTIONS = "inkstream.connection.CHANNEL_OPTIONS"
_SERVER_OPTIONS = "batch_server.serving.server._OPTIONS"
_CHUNK_LIMITS_KIB = (64, 256, 1024, 2048, 4096, 8192, 16384)
_COMPRESSIONS = ("none", "sparse")
# Drawn in each round, with a seed of its own.
DRAWN = {name: Workload(name, share=0.35) for name in _COMPRESSIONS}
# Answered from the server's cache but for the first time: the transport alone.
SENT = {name: Workload(name, share=0.25, times=2) for name in _COMPRESSIONS}


def compare(dataset: Path, title: str, settings: Mapping[str, Setting], workloads: Mapping[str, Workload]) -> Table:
    """Measures settings side by side.

    Args:
        dataset: Alone in its folder.
        title: Of the table.
        settings: By the name of their row. The others are compared with the default, which is all that nobody set.
        workloads: By the name of their columns.
    """
    settings = {"default": Setting(), **settings, _AGAIN: Setting()}
    seen: dict[tuple[str, str], list[Seen]] = {(name, load): [] for name in settings for load in workloads}
    with ExitStack() as stack:
        consumers = {}
        for name, setting in settings.items():
            server = stack.enter_context(serving(dataset, setting))
            consumers[name] = stack.enter_context(consuming(server, setting))
            for load in workloads.values():
                consumers[name].measure(load)  # opens connections, fills pools and caches
        measure(consumers, workloads, seen)
    rows = [
        (name, *(cell for load in workloads for cell in _cells(seen[name, load], seen["default", load])))
        for name in settings
    ]
    columns = [cell for load in workloads for cell in (f"{load}: drawings/s", "ratio", "us of processor")]
    example = next(iter(workloads.values()))
    notes = (
        f"128x128 gray, batch {example.batch_size}, {'drawn' if example.times == 1 else 'from the cache'}; "
        f"medians of {ROUNDS}; processor time of server + client, per drawing."
    )
    return Table(title, notes, ("setting", *columns), rows)


def measure(
    consumers: Mapping[str, Consumer], workloads: Mapping[str, Workload], seen: Mapping[tuple[str, str], list[Seen]]
) -> None:
    """Has every consumer run every workload, in turn."""
    for number in range(ROUNDS):
        for load, workload in workloads.items():
            again = workload if workload.times > 1 else workload._replace(seed=workload.seed + 1 + number)
            names = list(consumers)
            for name in (*names[number % len(names) :], *names[: number % len(names)]):
                seen[name, load].append(consumers[name].measure(again))


def _cells(found: list[Seen], default: list[Seen]) -> tuple[str, str, str]:
    ratio = statistics.median(one.rows_per_s / other.rows_per_s for one, other in zip(found, default, strict=True))
    server_us, client_us = (
        median(of, found)
        for of in (lambda one: one.server_s / one.rows * 1e6, lambda one: one.client_s / one.rows * 1e6)
    )
    rate = median(lambda one: one.rows_per_s, found)
    return f"{rate:,.0f}", f"{ratio:.2f}x", f"{server_us:.1f} + {client_us:.1f}"


def chunks(dataset: Path) -> Table:
    """Limits of a chunk's bytes, for batches that hold several of the largest."""

    def limit(kib: int) -> Setting:
        names = ("CHUNK_BYTES", "COMPRESSED_CHUNK_BYTES")
        return Setting({f"inkstream.chunking.{name}": kib << 10 for name in names})

    settings = {f"{kib} KiB, {kib // 16} rows": limit(kib) for kib in _CHUNK_LIMITS_KIB}
    loads = {name: load._replace(batch_size=1024) for name, load in DRAWN.items()}
    return compare(dataset, "Bytes of pixels in a chunk", settings, loads)


def ranges(dataset: Path) -> Table:
    """Bytes that a client asks for at once."""
    mib = {f"{size} MiB": Setting({"inkstream.chunking.RANGE_BYTES": size << 20}) for size in (4, 8, 32)}
    return compare(dataset, "Bytes of pixels in a range", mib, DRAWN)


def frames(dataset: Path) -> Table:
    """Options of gRPC for frames, windows and buffers."""

    def both(name: str, value: int) -> Setting:
        return Setting(
            client_constants={_CLIENT_OPTIONS: {name: value}}, server_constants={_SERVER_OPTIONS: {name: value}}
        )

    def client(name: str, value: int) -> Setting:
        return Setting(client_constants={_CLIENT_OPTIONS: {name: value}})

    def server(name: str, value: int) -> Setting:
        return Setting(server_constants={_SERVER_OPTIONS: {name: value}})

    settings = {
        "max_frame_size 1 MiB": both("grpc.http2.max_frame_size", 1 << 20),
        "max_frame_size 16 MiB": both("grpc.http2.max_frame_size", (1 << 24) - 1),
        "lookahead_bytes 4 MiB": client("grpc.http2.lookahead_bytes", 4 << 20),
        "bdp_probe 0": client("grpc.http2.bdp_probe", 0),
        "bdp_probe 0, lookahead_bytes 16 MiB": Setting(
            client_constants={_CLIENT_OPTIONS: {"grpc.http2.bdp_probe": 0, "grpc.http2.lookahead_bytes": 16 << 20}}
        ),
        "write_buffer_size 8 MiB": server("grpc.http2.write_buffer_size", 8 << 20),
        "tcp_read_chunk_size 1 MiB": client("grpc.experimental.tcp_read_chunk_size", 1 << 20),
        "tcp_min_read_chunk_size 1 MiB": client("grpc.experimental.tcp_min_read_chunk_size", 1 << 20),
        "enable_preferred_frame_size": both("grpc.experimental.http2.enable_preferred_frame_size", 1),
        "tcp_tx_zerocopy_enabled": server("grpc.experimental.tcp_tx_zerocopy_enabled", 1),
    }
    return compare(dataset, "Options of gRPC (grpc.http2.*, grpc.experimental.*)", settings, SENT)


def allocator(dataset: Path) -> Table:
    """Variables that tell glibc when to give memory back."""
    keep = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}
    huge, two = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}, {"MALLOC_ARENA_MAX": "2"}
    settings = {
        "thresholds, server": Setting(server_env=keep),
        "thresholds, client": Setting(client_env=keep),
        "thresholds, both": Setting(server_env=keep, client_env=keep),
        "thresholds and huge pages, both": Setting(server_env=keep | huge, client_env=keep | huge),
        "MALLOC_ARENA_MAX=2, both": Setting(server_env=two, client_env=two),
    }
    loads = {"none": DRAWN["none"], "none, from the cache": SENT["none"]}
    return compare(dataset, "Settings of the allocator", settings, loads)


def connections(dataset: Path) -> Table:
    """One connection to a server against several."""

    def several(count: int) -> Setting:
        hosts = [f"127.0.0.{number + 1}" for number in range(count)]
        return Setting(listen="0.0.0.0:0", serve=("--insecure",), hosts=hosts)

    settings = {"two": several(2), "four": several(4)}
    return compare(dataset, "Connections to one server", settings, SENT)


def security(dataset: Path) -> Table:
    """What TLS, tokens and metrics cost."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        cert, key, tokens = folder / "cert.pem", folder / "key.pem", folder / "tokens"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", str(key), "-out", str(cert)),
            ],
            check=True,
            capture_output=True,
        )
        tokens.write_text("benchmark-token-of-no-use\n")
        with_tls = Setting(serve=("--tls-cert", str(cert), "--tls-key", str(key)), consume=("--tls-ca", str(cert)))
        with_tls_and_tokens = Setting(
            serve=(*with_tls.serve, "--tokens", str(tokens)), consume=(*with_tls.consume, "--token-file", str(tokens))
        )
        settings = {
            "tokens": Setting(serve=("--tokens", str(tokens)), consume=("--token-file", str(tokens))),
            "metrics": Setting(serve=("--metrics", "127.0.0.1:0")),
            "TLS": with_tls,
            "TLS and tokens": with_tls_and_tokens,
        }
        return compare(dataset, "TLS, tokens and metrics", settings, SENT)


TABLES: dict[str, Callable[[Path], Table]] = {
    each.__name__: each for each in (chunks, ranges, frames, allocator, connections, security)
}


def tables(dataset: Path) -> list[Table]:
    """All of them; several minutes."""
    return [make(dataset) for make in TABLES.values()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], metavar="TABLE", help=", ".join(TABLES))
    chosen = parser.parse_args().tables or list(TABLES)
    with imported_dataset() as path:
        for name in chosen:
            print(TABLES[name](path).as_text(), flush=True)
