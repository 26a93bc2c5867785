"""The status page: `status_page.html`, which needs nothing else, filled with values."""

import html
from collections.abc import Iterator
from importlib import resources
from string import Template
from typing import NamedTuple
from urllib.parse import unquote

from batch_server.rendering import RENDERER_VERSION
from batch_server.serving.chunk_cache import CacheSnapshot
from batch_server.serving.figures import StreamReport, WaitingFor
from batch_server.serving.server import BatchServer
from inkstream.errors import UnknownDataset

_PAGE = Template(resources.files(__package__).joinpath("status_page.html").read_text("utf-8"))
_REFRESH_S = 5
# A page of thousands of streams says nothing; the ones that asked last are shown.
_MAX_STREAMS_SHOWN = 50
# Both rates are estimates of the last half minute.
_ENOUGH = 0.9


class DatasetLine(NamedTuple):
    """One dataset in the list: its name, how many samples it has and how it was asked for lately."""

    name: str
    samples: int
    streams: int
    rows_per_s: float


class Status(NamedTuple):
    """What a server is doing.

    Attributes:
        address: HOST:PORT where it streams.
        threads: That draw.
        busy_threads: How many of them were busy lately, on average.
        open_ranges: Being answered now.
        max_ranges: That can be answered at a time.
        memory_bytes: Of chunks.
        memory_limit_bytes: That they may take.
        servers_needed: Like this one, for its share of the demand.
        chunks: How many were asked for, and where they came from.
        datasets: By name.
        streams: The one that asked last first.
    """

    address: str
    threads: int
    busy_threads: float
    open_ranges: int
    max_ranges: int
    memory_bytes: int
    memory_limit_bytes: int
    servers_needed: float
    chunks: CacheSnapshot
    datasets: list[DatasetLine]
    streams: list[StreamReport]


def status_of(server: BatchServer) -> Status:
    """What a server is doing now."""
    streams = server.activity.streams()[::-1]
    return Status(
        address=server.address,
        threads=server.threads,
        busy_threads=server.activity.busy_threads(),
        open_ranges=server.admission.streams,
        max_ranges=server.admission.max_streams,
        memory_bytes=server.budget.taken_bytes,
        memory_limit_bytes=server.budget.total_bytes,
        servers_needed=server.activity.demand().threads / server.threads,
        chunks=server.chunks.snapshot(),
        datasets=list(_datasets(server, streams)),
        streams=streams,
    )


def verdict(stream: StreamReport) -> str:
    """Who waits for whom, in words.

    A trainer that gets what it can take does not wait, though its ranges, asked for ahead, do.
    """
    demand = stream.whose.demand_rows_per_s
    if demand and stream.rows_per_s >= _ENOUGH * demand:
        return _VERDICTS[WaitingFor.CLIENT]
    return _VERDICTS[max(stream.waits, key=lambda what: stream.waits[what])]


def status_page(status: Status, shows_all: bool) -> str:
    """The page.

    Args:
        status: What it shows.
        shows_all: Whether it shows pictures and the names of clients.
    """
    return _PAGE.substitute(
        refresh_s=_REFRESH_S,
        address=html.escape(status.address),
        version=RENDERER_VERSION,
        tiles="".join(_tiles(status)),
        datasets="".join(map(_dataset_row, status.datasets)) or _empty("no dataset is in the folder", 4),
        streams="".join(_stream_row(stream, shows_all) for stream in status.streams[:_MAX_STREAMS_SHOWN])
        or _empty("nobody has asked for anything in the last half minute", 6),
        more=_more(len(status.streams) - _MAX_STREAMS_SHOWN),
        legend="".join(f'<span><i class="{what}"></i>{words}</span>' for what, words in _LEGEND.items()),
        pictures=_PICTURES if shows_all else _NO_PICTURES,
    )


def _datasets(server: BatchServer, streams: list[StreamReport]) -> Iterator[DatasetLine]:
    for name in server.catalog.names():
        asking = [stream for stream in streams if stream.whose.dataset == name]
        try:
            samples = server.catalog.by_name(name).dataset.samples
        except UnknownDataset:  # gone since its name was read
            continue
        yield DatasetLine(name, samples, len(asking), sum(stream.rows_per_s for stream in asking))


def _tiles(status: Status) -> Iterator[str]:
    rows_per_s = sum(stream.rows_per_s for stream in status.streams)
    yield _tile("servers needed", f"{status.servers_needed:.2f}", "like this one, for its share of the demand")
    yield _tile("rows per second", f"{rows_per_s:,.0f}", f"to {_count(len(status.streams), 'stream')}")
    yield _tile("threads at work", f"{status.busy_threads:.1f}", f"of {status.threads:,} that draw")
    yield _tile("open ranges", f"{status.open_ranges:,}", f"of {status.max_ranges:,} at a time")
    asked = status.chunks.hits + status.chunks.awaited + status.chunks.misses
    share = (asked - status.chunks.misses) / asked if asked else 0.0
    yield _tile("from the cache", f"{share:.0%}", f"of {_count(asked, 'chunk')} since the start")
    yield _tile("memory", _mib(status.memory_bytes), f"of {_mib(status.memory_limit_bytes)} for chunks")


def _tile(name: str, figure: str, remark: str) -> str:
    return f"<div class=tile><h2>{name}</h2><b>{figure}</b><small>{remark}</small></div>"


def _dataset_row(line: DatasetLine) -> str:
    return _row(html.escape(line.name), f"{line.samples:,}", f"{line.streams:,}", f"{line.rows_per_s:,.0f}")


def _stream_row(stream: StreamReport, shows_all: bool) -> str:
    whose = stream.whose
    client = html.escape(unquote(whose.peer)) if shows_all else "<em>hidden</em>"
    stream_id = f"{whose.stream_id:016x}" if whose.stream_id else "no id"
    part = f", part {whose.shard[0] + 1:,} of {whose.shard[1]:,}" if whose.shard[1] > 1 else ""
    demand = f"{whose.demand_rows_per_s:,.0f}" if whose.demand_rows_per_s else "unknown"
    bar = "".join(
        f'<i class="{what}" style="width:{share:.1%}" title="{_LEGEND[what]}: {share:.0%}"></i>'
        for what, share in stream.waits.items()
    )
    return _row(
        f"<code>{stream_id}</code><small>{client}</small>",
        f"{html.escape(whose.dataset)}<small>{html.escape(whose.about)}{part}</small>",
        f"{stream.rows_per_s:,.0f}<small>{_mib(stream.bytes_per_s)}/s</small>",
        demand,
        f"{stream.open_ranges:,}",
        f"{verdict(stream)}<div class=bar>{bar}</div>",
    )


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _empty(text: str, columns: int) -> str:
    return f"<tr><td colspan={columns}><em>{text}</em></td></tr>"


def _more(streams: int) -> str:
    return f"<p>and {_count(streams, 'more stream')}</p>" if streams > 0 else ""


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _mib(size_bytes: float) -> str:
    size_mib = size_bytes / 2**20
    return f"{size_mib:,.0f} MiB" if size_mib >= 100 else f"{size_mib:.1f} MiB"


_LEGEND = {
    WaitingFor.CLIENT: "for the client, to ask or to take",
    WaitingFor.DRAWING: "for drawing",
    WaitingFor.MEMORY: "for memory",
    WaitingFor.NOTHING: "for nothing",
}
_VERDICTS = {
    WaitingFor.CLIENT: "the server waits for the client",
    WaitingFor.DRAWING: "the client waits for drawing",
    WaitingFor.MEMORY: "the client waits for memory",
    WaitingFor.NOTHING: "the client waits for the server, which is at work",
}
_PICTURES = '<img src="contact-sheet.png" alt="nothing was sent yet">'
_NO_PICTURES = (
    "<p>Pictures and the names of clients are shown on the server's own machine (http://localhost, perhaps through "
    "<code>ssh -L</code>), or with <code>Authorization: Bearer</code> and a token.</p>"
)
