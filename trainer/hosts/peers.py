"""The processes of a training keep in touch: they hear of each other every second, agree, and end together.

JAX does not notice a process that hangs, and takes minutes to notice one that failed. So each process holds a
connection to process 0, which passes on what it hears. A process that is gone, silent or failed ends all others within
seconds, with a message that names it.
"""

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NoReturn, Self

import inkstream
from inkstream.command_line import EXIT_FAILED, Failure, UsageError, reported
from trainer.hosts.lines import Lines

BEAT_S = 1.0
# Nobody finishes a step or a batch of validation for so long: longer than any program takes to compile.
STANDSTILL_S = 1800.0
# For so long a process that failed asks whether another one is to blame; connections end within milliseconds.
BLAME_S = 5.0
_LINGER_S = 5.0  # for the others to read why
# Errors whose cause lies in this process or in what it was told, not in a step that another process broke.
OWN_MISTAKES = (inkstream.InkstreamError, UsageError, Failure, KeyboardInterrupt, SystemExit)
_POLL_S = 0.1  # a wait without end could not be interrupted by Ctrl-C


@dataclass
class Peer:
    """What is known of another process.

    Args:
        process: Its number.
        host: Where it runs.
        silent_s: Since it was heard of, in seconds in which this process was running itself.
        gone: Its connection has ended.
        failure: Why it ended, in its own words.
        leaving: Why it asks all to stop after the current step, in its own words, and the exit code for that.
        finished: It has done its part.
        moves: How many steps and batches of validation it has finished.
        asked: The names of what it wants to know from process 0.
    """

    process: int
    host: str
    silent_s: float = 0.0
    gone: bool = False
    failure: str | None = None
    leaving: tuple[str, int] | None = None
    finished: bool = False
    moves: int = 0
    asked: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return f"process {self.process} ({self.host})"


def verdict(peers: Iterable[Peer], silence_s: float) -> str | None:
    """Why the training cannot go on, naming the process that is to blame; None if it can.

    What a process said itself counts before what became of its connection.

    Args:
        peers: The others.
        silence_s: For how long one may be silent.
    """
    known = list(peers)
    for peer in known:
        if peer.failure is not None:
            return f"{peer} failed: {peer.failure}"
    for peer in known:
        if peer.gone and not peer.finished:
            return f"{peer} ended without a word: it was killed, or its machine is gone"
    for peer in known:
        if peer.silent_s >= silence_s:
            return f"{peer} has not been heard of for {peer.silent_s:.0f} s: it is frozen or cut off"
    return None


def standstill(moves: Mapping[str, int]) -> str:
    """What to say when nothing has moved for `STANDSTILL_S`; `moves` has every process by its name."""
    slowest = min(moves, key=lambda name: moves[name])
    return f"no step was finished for {STANDSTILL_S / 60:.0f} minutes; {slowest} has finished the fewest"


class Alone:
    """The only process of a training, which has nobody to agree with."""

    process, processes, first = 0, 1, True
    agreed = False

    def from_first(self, name: str, value: Any) -> Any:
        """The value itself."""
        return value

    def moved(self) -> None:
        """Nobody waits for news."""

    def leave(self, reason: str, code: int) -> None:
        """Nobody needs to know."""

    def leaving(self) -> list[tuple[str, int]]:
        """Nobody."""
        return []


class Peers:
    """The other processes, as one process sees them. Entered, it watches them until it is left.

    Left without an exception, or with one after all have agreed to stop, it waits until all have done their part. With
    any other exception it tells the others and ends the process, as JAX would wait minutes for them at a usual exit.

    Attributes:
        process: Number of this process.
        processes: How many there are.
        first: Whether this is process 0.
        agreed: To be set when a step has shown that all stop.
    """

    def __init__(self, process: int, hosts: Sequence[str], links: Mapping[int, Lines], silence_s: float):
        """Watches nobody yet.

        Args:
            process: Number of this process.
            hosts: Where the processes run, by number.
            links: Connections: of process 0 to all others, of any other one to process 0.
            silence_s: For how long a process may be silent.
        """
        self.process, self.processes, self.first = process, len(hosts), process == 0
        self.agreed = False
        self._name = str(Peer(process, hosts[process]))
        self._peers = {number: Peer(number, host) for number, host in enumerate(hosts) if number != process}
        self._links = dict(links)
        self._silence_s = silence_s
        self._news = threading.Condition()  # guards all that a message may change
        self._values: dict[str, Any] = {}
        self._verdict: str | None = None
        self._bye = self._watching_ends = False
        self._moves = 0
        self._still_s = 0.0
        self._end = threading.Lock()  # taken by whoever ends the process, and never given back
        self._readers = [
            threading.Thread(target=self._read, args=link, name="peer", daemon=True) for link in self._links.items()
        ]

    def __enter__(self) -> Self:
        for reader in self._readers:
            reader.start()
        threading.Thread(target=self._watch, name="peers", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or self.agreed:
            self._finish()
        else:
            self._fail(error)

    def from_first(self, name: str, value: Any) -> Any:
        """What process 0 gives under this name, as soon as all have asked: so they go on from here at the same time.

        Args:
            name: Used once.
            value: What JSON can hold; looked at only in process 0.
        """
        if self.first:
            self._wait(lambda: all(name in peer.asked for peer in self._peers.values()))
            self._tell(kind="value", name=name, value=value)
            return value
        self._tell(kind="ask", name=name)
        self._wait(lambda: name in self._values)
        return self._values[name]

    def moved(self) -> None:
        """A step or a batch of validation was finished."""
        with self._news:
            self._moves += 1
            self._still_s = 0.0

    def leave(self, reason: str, code: int) -> None:
        """Tells the others why this process will ask them to stop after a step, and with which exit code."""
        self._tell(kind="leaving", process=self.process, text=reason, code=code)

    def leaving(self) -> list[tuple[str, int]]:
        """Which others asked to stop, why, and the exit code; to be called when a step has shown that somebody did."""
        self._wait(self._who_leaves, timeout_s=BLAME_S)
        return self._who_leaves()

    def _who_leaves(self) -> list[tuple[str, int]]:
        return [(f"{peer} {peer.leaving[0]}", peer.leaving[1]) for peer in self._peers.values() if peer.leaving]

    def _tell(self, *, but: int | None = None, **message: Any) -> None:
        for number, link in self._links.items():
            if number != but:
                link.send(**message)

    def _wait(self, happened: Callable[[], object], timeout_s: float = float("inf")) -> None:
        """Waits; that nothing comes from a process that is gone ends this one."""
        waited_s = 0.0
        with self._news:
            while not happened() and waited_s < timeout_s:
                self._news.wait(_POLL_S)
                waited_s += _POLL_S

    def _read(self, number: int, link: Lines) -> None:
        peer = self._peers[number]
        with contextlib.suppress(KeyError, TypeError):  # not a message of this version's: the peer counts as gone
            while (message := link.receive()) is not None:
                with self._news:
                    peer.silent_s = 0.0
                    self._note(peer, message)
                    self._news.notify_all()
                if self.first and message["kind"] in ("leaving", "failed"):
                    self._tell(but=number, **message)
        with self._news:
            peer.gone = True
            self._news.notify_all()

    def _note(self, sender: Peer, message: Mapping[str, Any]) -> None:
        match message["kind"]:
            case "beat":
                sender.moves = message["moves"]
            case "ask":
                sender.asked.add(message["name"])
            case "value":
                self._values[message["name"]] = message["value"]
            case "leaving":
                self._peers[message["process"]].leaving = message["text"], message["code"]
            case "failed":
                self._peers[message["process"]].failure = message["text"]
            case "verdict":
                self._verdict = message["text"]
            case "finished":
                sender.finished = True
            case "bye":
                self._bye = sender.finished = True

    def _watch(self) -> None:
        """Tells the others every second that this process is alive, and ends it when it is alone."""
        pause = threading.Event()
        while not pause.wait(BEAT_S):
            self._tell(kind="beat", moves=self._moves)
            with self._news:
                if self._watching_ends:
                    return
                # Seconds of this process: if it was frozen itself, the others are not to blame.
                self._still_s += BEAT_S
                for number in self._links:
                    self._peers[number].silent_s += BEAT_S
                why = self._verdict or verdict(self._peers.values(), self._silence_s)
                if why is None and self.first and self._still_s >= STANDSTILL_S:
                    others = {str(peer): peer.moves for peer in self._peers.values()}
                    why = standstill(others | {self._name: self._moves})
            if why is not None and self._end.acquire(blocking=False):
                if self.first:
                    self._tell(kind="verdict", text=why)
                print(
                    f"trainer: {why}. Started again with --resume, all processes go on from the last checkpoint",
                    file=sys.stderr,
                )
                self._leave(EXIT_FAILED)

    def _finish(self) -> None:
        if self.first:
            self._wait(lambda: all(peer.finished for peer in self._peers.values()))
            self._tell(kind="bye")
        else:
            self._tell(kind="finished")
            self._wait(lambda: self._bye)
        with self._news:
            self._watching_ends = True
        self._part()

    def _fail(self, error: BaseException) -> None:
        if not isinstance(error, OWN_MISTAKES):
            # A step fails when another process dies in it. The watch then says so and ends this one.
            self._wait(self._is_another_to_blame, timeout_s=BLAME_S)
            if self._is_another_to_blame():
                self._wait(lambda: False, timeout_s=2 * _LINGER_S)
        self._end.acquire()
        try:
            code = reported("trainer", error)
        except Exception:  # a bug of ours
            traceback.print_exc()
            code = EXIT_FAILED
        self._tell(kind="failed", process=self.process, text=_in_a_line(error))
        self._leave(code)

    def _is_another_to_blame(self) -> bool:
        return self._verdict is not None or verdict(self._peers.values(), self._silence_s) is not None

    def _leave(self, code: int) -> NoReturn:
        sys.stdout.flush()
        sys.stderr.flush()
        self._part()
        os._exit(code)

    def _part(self) -> None:
        """Ends the connections when the others have read what was sent: they end them, too."""
        for link in self._links.values():
            link.finish()
        for reader in self._readers:
            reader.join(_LINGER_S / len(self._readers))
        for link in self._links.values():
            link.close()


def _in_a_line(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "it was told to stop"
    return " ".join((str(error) or type(error).__name__).split())
