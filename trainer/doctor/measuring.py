"""Measures, for a given time, the parts of a training: the stream alone, the step alone, both together."""

import itertools
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import inkstream
from inkstream.pipeline import Pipeline
from inkstream.processors import UseMeter, bound_cores
from trainer.devices import choose_devices
from trainer.doctor.diagnosis import Figures, StreamFigures
from trainer.doctor.training import Training, lead_bytes
from trainer.input import DeviceInput
from trainer.interrupts import StopSignals
from trainer.optimization.settings import Optimization
from trainer.parallel import Parallel
from trainer.run import Run, outputs_of_labels
from trainer.service import Service
from trainer.settings import ModelSettings

# Shares of the time.
_STREAM, _UNCOMPRESSED, _RESIDENT, _FED_SETTLING, _FED = 0.25, 0.15, 0.2, 0.15, 0.25
# Of the share of a stream alone, what is let pass before it is measured: readers start one after the other.
_SETTLING = 0.2
_CALLS = 5


@dataclass(frozen=True)
class DoctorRequest:
    """What `trainer doctor` was asked to do; as for `trainer fit` where names are equal.

    Args:
        service: The batch servers.
        pipeline: Of the training split, with remainder `pad`.
        model: Which model.
        optimization: How it is trained.
        devices: See `trainer.devices`.
        seconds: How long all measurements together take; compiling the step comes on top.
    """

    service: Service
    pipeline: Pipeline
    model: ModelSettings
    optimization: Optimization
    devices: str
    seconds: float


def measure(request: DoctorRequest, say: Callable[[str], None]) -> Figures:
    """Measures a training.

    Args:
        request: Which one.
        say: Told what is being done.

    Raises:
        UsageError: The request makes no sense.
        InkstreamError: The servers refuse or fail.
    """
    with StopSignals(), request.service.connect() as client:
        parallel = Parallel(choose_devices(request.devices))
        parallel.check_batch_size(request.pipeline.batch_size, in_pairs=request.optimization.mixup > 0)
        resolved = client.resolve(request.pipeline)
        run = Run.resolve(request.model, request.optimization, resolved)
        outputs = outputs_of_labels(resolved.classes, run.classes)
        compression = request.service.compression
        round_trip_s = _round_trip_s(client, request.pipeline.dataset)
        # With a seed of its own nothing is in a server's cache: all is drawn for this stream, as a new run's is.
        pipeline = request.pipeline.replace(seed=secrets.randbits(63))

        say("the stream alone ...")
        stream = _stream_alone(client, pipeline, compression, _STREAM * request.seconds)
        uncompressed = _stream_alone(client, pipeline, "none", _UNCOMPRESSED * request.seconds)

        say("compiling the training step ...")
        training = Training(run, parallel, resolved.steps_per_epoch)
        with DeviceInput(client.stream(pipeline, compression=compression), parallel, outputs) as batches:
            resident = next(batches)._replace(wait_s=0.0)
        training.measure(itertools.repeat(resident), 0.0)
        say("the step alone ...")
        step = training.measure(itertools.repeat(resident), _RESIDENT * request.seconds)

        say("both together ...")
        source = client.stream(pipeline, epochs=None, compression=compression, memory_bytes=lead_bytes(pipeline))
        meter = UseMeter()
        with DeviceInput(source, parallel, outputs) as batches:
            fed = training.measure(batches, _FED * request.seconds, _FED_SETTLING * request.seconds)
            use, stats = meter.so_far(), source.stats()
        return Figures(
            round_trip_s=round_trip_s,
            stream=stream,
            uncompressed=uncompressed,
            resident=step,
            fed=fed,
            cores=bound_cores(),
            own_cores=use.own,
            other_cores=use.others,
            retries=stats.retries,
            moves=stats.moves,
        )


def _round_trip_s(client: inkstream.Client, dataset: str) -> float:
    """The shortest of several calls, over a connection that is open."""
    took_s = []
    for _ in range(_CALLS):
        begun = time.perf_counter()
        client.dataset(dataset)
        took_s.append(time.perf_counter() - begun)
    return min(took_s)


def _stream_alone(client: inkstream.Client, pipeline: Pipeline, compression: str, seconds: float) -> StreamFigures:
    """Takes batches and forgets them."""
    with client.stream(pipeline, epochs=None, compression=compression) as stream:
        _take(stream, _SETTLING * seconds)
        before, meter = stream.stats(), UseMeter()
        passed_s = _take(stream, (1 - _SETTLING) * seconds)
        after, use = stream.stats(), meter.so_far()
    sent_bytes = after.wire_bytes - before.wire_bytes
    both = [(after.servers[address], before.servers.get(address, inkstream.ServerStats())) for address in after.servers]
    arrived = sum(now.rows - then.rows for now, then in both)
    wait_s = sum(now.wait_s - then.wait_s for now, then in both)
    decode_s = sum(now.decode_s - then.decode_s for now, then in both)
    return StreamFigures(
        rows_per_s=arrived / passed_s,  # not what was handed out: on a slow link that comes in bursts
        wire_bytes=sent_bytes / max(arrived, 1),
        wire_bytes_per_s=sent_bytes / passed_s,
        waiting=wait_s / max(wait_s + decode_s, 1e-9),
        own_cores=use.own,
        servers=sum(now.rows > then.rows for now, then in both),
    )


def _take(stream: inkstream.Stream, seconds: float) -> float:
    """Takes batches for some time, at least one; returns how long it took."""
    begun = time.perf_counter()
    for _ in stream:
        if time.perf_counter() - begun >= seconds:
            break
    return time.perf_counter() - begun
