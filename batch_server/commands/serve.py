"""`batch-server serve`: streams the datasets of a folder to trainers."""

import argparse
import logging
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from batch_server.kernel_cache import when_compiling
from batch_server.memory_limits import LEAST_CHUNKS_MIB, size_text
from batch_server.progress import ConsoleProgress
from batch_server.serving.metrics_port import metrics_port
from batch_server.serving.server import BatchServer, ServerSettings
from batch_server.serving.tls import ServerCertificate
from batch_server.serving.tokens import TokenFile
from inkstream.allocator import keep_freed_memory
from inkstream.command_line import (
    EXIT_DONE,
    EXIT_INTERRUPTED,
    EXIT_STOPPED,
    Subcommands,
    UsageError,
)
from inkstream.listening import is_loopback, parse_listen_address
from inkstream.processors import usable_cores

_LOG = logging.getLogger(__name__)

# Of the allocator: few, since each keeps memory, and every stream has a thread that would take one of its own.
_HEAPS = 4

# How soon a signal is noticed.
_LOOK_S = 0.1

_EPILOG = """\
Serves every finished *.lmdb in DIR under its file name without .lmdb, and looks for new ones every few seconds.
Prints "listening on HOST:PORT" when it is ready.

SIGTERM drains: health checks say NOT_SERVING, new ranges are sent to other servers, running ones end, then the server
stops. Ctrl-C does the same without the delay; a second signal stops at once.

exit codes: 0 drained after SIGTERM, 1 failed, 2 wrong usage, 130 after Ctrl-C, 143 SIGTERM cut streams off

example: batch-server serve --data datasets --listen 127.0.0.1:50051
"""


def add(subcommands: Subcommands) -> None:
    """Declares the subcommand."""
    parser = subcommands.add_parser(
        "serve",
        help="stream the datasets of a folder",
        description="Streams the datasets of a folder to trainers.",
        epilog=_EPILOG,
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of datasets")
    parser.add_argument(
        "--listen", default="127.0.0.1:50051", metavar="HOST:PORT", help="where to listen; port 0 picks a free one"
    )
    parser.add_argument(
        "--insecure", action="store_true", help="listen beyond this machine even if anyone there can read along or ask"
    )
    security = parser.add_argument_group("security", "Files are read again when they change.")
    security.add_argument("--tls-cert", type=Path, metavar="FILE", help="the server's certificate, PEM: turns on TLS")
    security.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key, PEM")
    security.add_argument(
        "--tls-client-ca",
        type=Path,
        metavar="FILE",
        help="certificates, PEM, of the authorities of which clients must have a certificate (mTLS)",
    )
    security.add_argument(
        "--tokens", type=Path, metavar="FILE", help="bearer tokens, one a line, of which clients must have one"
    )
    parser.add_argument(
        "--threads", type=_count, default=usable_cores(), metavar="N", help="threads that draw; all cores unless given"
    )
    parser.add_argument(
        "--memory",
        type=_count,
        default=1024,
        metavar="MIB",
        help="memory for chunks that are being drawn, wait to be sent or are kept, all streams together",
    )
    parser.add_argument(
        "--cache",
        type=_size,
        default=256,
        metavar="MIB",
        help="of this memory, for chunks that are kept after they were sent, for other trainers; 0 keeps none",
    )
    parser.add_argument(
        "--metrics",
        metavar="HOST:PORT",
        help="where to show figures: /metrics for Prometheus, / for people; off unless given, port 0 picks a free one",
    )
    parser.add_argument(
        "--warm",
        action="store_true",
        help="read each dataset into memory before it is served; until then health checks say NOT_SERVING",
    )
    parser.add_argument("--max-streams", type=_count, default=64, metavar="N", help="streams at a time")
    parser.add_argument(
        "--drain-delay",
        type=_seconds,
        default=5.0,
        metavar="S",
        help="seconds for which the port stays open after SIGTERM, so that everyone hears that the server stops",
    )
    parser.add_argument(
        "--drain-grace",
        type=_seconds,
        default=20.0,
        metavar="S",
        help="seconds for which running ranges may go on after a signal",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serves until a signal comes; returns the exit code."""
    _check(options)
    keep_freed_memory(_HEAPS)
    certificate, tokens = _certificate(options), _tokens(options)
    listen_metrics = parse_listen_address("--metrics", options.metrics) if options.metrics else None
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if tokens and not certificate:
        _LOG.warning("tokens without TLS: who can read along on the network learns them")
    stop = _Stop()
    with when_compiling(_LOG.info):
        server = BatchServer(
            ServerSettings(
                data=options.data,
                listen=options.listen,
                threads=options.threads,
                memory_bytes=options.memory << 20,
                cache_bytes=options.cache << 20,
                max_streams=options.max_streams,
                warm=options.warm,
                certificate=certificate,
                tokens=tokens,
            )
        )
        metrics = metrics_port(server, listen_metrics, certificate, tokens) if listen_metrics else None
        _load(server, with_progress=options.warm)
    stop.drain_from_now_on()
    server.start()
    print(f"listening on {server.address}", flush=True)
    if metrics:
        metrics.start()
        print(f"metrics on {metrics.address}", flush=True)
    number = stop.wait()
    delay_s = 0.0 if number == signal.SIGINT else options.drain_delay
    complete = server.drain(delay_s, options.drain_grace, stop.hurry)
    if metrics:
        metrics.stop()
    if number == signal.SIGINT:
        return EXIT_INTERRUPTED
    return EXIT_DONE if complete else EXIT_STOPPED


def _load(server: BatchServer, *, with_progress: bool) -> None:
    if not with_progress:
        server.load()
        return
    with ConsoleProgress() as progress:
        server.load(lambda what, done, total: progress.tell(what, done, total, size_text(done)))


class _Stop:
    """Remembers signals; while the server is starting, one ends the process: there is nothing to drain.

    Handlers only set plain attributes, and the main thread looks at them now and then: an Event that is set in a
    handler can deadlock with the thread that waits for it, and a signal may not end an untimed wait (seen).
    """

    def __init__(self) -> None:
        self._starting = True
        self._received: list[int] = []
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._receive)

    def drain_from_now_on(self) -> None:
        """The server is about to answer: a signal no longer ends the process by itself."""
        self._starting = False

    def wait(self) -> int:
        """The number of the signal that asks to stop."""
        while not self._received:
            time.sleep(_LOOK_S)
        return self._received[0]

    def hurry(self) -> bool:
        """Whether a second signal came."""
        return len(self._received) > 1

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._starting:
            raise SystemExit(128 + number)
        self._received.append(number)


def _check(options: argparse.Namespace) -> None:
    """Refuses what makes no sense before any work.

    Raises:
        UsageError: With the rule, the value and the remedy.
    """
    if not options.data.is_dir():
        raise UsageError(f"--data must be a folder, {options.data} is none: create it, or import into it first")
    if options.memory < LEAST_CHUNKS_MIB:
        raise UsageError(f"--memory must be at least {LEAST_CHUNKS_MIB} MiB, got {options.memory}")
    listen = parse_listen_address("--listen", options.listen)
    guarded = options.tls_cert and (options.tls_client_ca or options.tokens)
    if not guarded and not options.insecure and not is_loopback("--listen", listen):
        lacks = "authentication" if options.tls_cert else "encryption" if options.tokens else "TLS and authentication"
        raise UsageError(
            f"--listen {options.listen} reaches beyond this machine, without {lacks}: give --tls-cert and --tls-key, "
            "and --tokens or --tls-client-ca; or add --insecure if you trust the network; or listen on 127.0.0.1"
        )


def _certificate(options: argparse.Namespace) -> ServerCertificate | None:
    """What the options for TLS name.

    Raises:
        UsageError: A file is missing, or the files make no sense.
    """
    if not (options.tls_cert or options.tls_key or options.tls_client_ca):
        return None
    if not (options.tls_cert and options.tls_key):
        raise UsageError("TLS needs both --tls-cert and --tls-key: give the missing one, or leave out --tls-*")
    try:
        return ServerCertificate(options.tls_cert, options.tls_key, options.tls_client_ca)
    except (OSError, ValueError) as error:
        raise UsageError(f"--tls-*: {error}") from None


def _tokens(options: argparse.Namespace) -> TokenFile | None:
    """What the option for tokens names.

    Raises:
        UsageError: The file cannot be read, or holds no tokens.
    """
    try:
        return TokenFile(options.tokens) if options.tokens else None
    except (OSError, ValueError) as error:
        raise UsageError(f"--tokens: {error}") from None


def _count(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text}")
    return value


def _size(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, got {text}")
    return int(text)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"must be a number of seconds from 0 to 86400, got {text}")
    return value
