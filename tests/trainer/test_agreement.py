"""How processes begin alike and stop together, here threads with real sockets between them."""

from types import SimpleNamespace

import pytest

import inkstream
from inkstream.command_line import UsageError
from inkstream.pipeline import Pipeline
from tests.trainer.test_peers import BOUND_S, at_once, clusters
from trainer.agreement import Agreement, Stopped
from trainer.hosts.gathering import gather
from trainer.hosts.peers import Alone, Peers
from trainer.optimization.patience import Patience
from trainer.optimization.settings import Optimization
from trainer.records.standing import Standing
from trainer.run import Run
from trainer.settings import ModelSettings

PIPELINE = Pipeline(dataset="doodles", batch_size=32, remainder="pad")
VOID = SimpleNamespace(void=True)


def run(learning_rate=0.1):
    return Run(ModelSettings(), Optimization(learning_rate=learning_rate), PIPELINE, "d", "f", 1, "s", ("cat", "dog"))


class Input(list):
    """Batches that come, and then an error of the stream."""

    def __init__(self, *batches, error=None):
        super().__init__(batches)
        self.error = error

    def __enter__(self):
        yield from self
        if self.error:
            raise self.error

    def __exit__(self, *error):
        pass


def together(*parts):
    """Lets each part take part as a process, with its agreement; what they return."""

    def take_part(cluster, part):
        hosts, links, _ = gather(cluster, BOUND_S)
        with Peers(cluster.process, hosts, links, cluster.silence_s) as peers:
            stop = SimpleNamespace(exit_code=None)
            stop.asked = lambda: stop.exit_code is not None
            return part(Agreement(peers, stop), stop)

    return at_once(*((take_part, cluster, part) for cluster, part in zip(clusters(len(parts)), parts, strict=True)))


def test_all_begin_where_process_0_does():
    standing = Standing(70, inkstream.Cursor(2, 10), Patience(step=60, best=0.5, stopping_waited=3))
    first, second = together(
        lambda agreement, _: agreement.begin(run(), "all", standing),
        lambda agreement, _: agreement.begin(run(), "all", Standing()),
    )
    assert first == second == standing


@pytest.mark.parametrize(
    ("mine", "devices", "named"),
    [(run(0.2), "all", "optimization.learning_rate was 0.1, is 0.2"), (run(), "2", "devices was 'all', is '2'")],
)
def test_other_settings_than_those_of_process_0_are_refused_by_name(mine, devices, named):
    def refused(agreement, _):
        with pytest.raises(UsageError) as refusal:
            agreement.begin(mine, devices, Standing())
        return str(refusal.value)

    _, told = together(lambda agreement, _: agreement.begin(run(), "all", Standing()), refused)
    assert "compared with process 0, in process 1 " + named in told


def test_who_is_told_to_stop_gives_void_batches_until_the_others_know(capsys):
    def told(agreement, stop):
        with agreement.until_one_stops(Input("first"), VOID) as batches:
            seen = [next(batches)]
            stop.exit_code = 143
            seen += [next(batches), next(batches)]
        return seen, agreement.conclude()

    def others(agreement, stop):
        return agreement.conclude()

    first, second = together(others, told)
    assert first == 143 and second == (["first", VOID, VOID], 143)
    assert "was told to stop" in capsys.readouterr().err


def test_who_has_no_batch_gives_void_ones_and_fails_when_the_others_know(capsys):
    def failing(agreement, _):
        with agreement.until_one_stops(Input(error=inkstream.ServerUnavailable("no server answers")), VOID) as batches:
            assert next(batches) is VOID
        with pytest.raises(inkstream.ServerUnavailable):
            agreement.conclude()

    code, _ = together(lambda agreement, _: agreement.conclude(), failing)
    assert code == 1
    assert "failed: no server answers" in capsys.readouterr().err


def test_a_stream_that_ends_ends_for_all():
    def to_the_end(agreement, _):
        with agreement.until_one_stops(Input("a", "b"), VOID) as batches:
            return list(batches)

    assert together(to_the_end, to_the_end) == [["a", "b"]] * 2


def test_alone_a_stop_or_an_error_needs_no_agreement():
    stop = SimpleNamespace(exit_code=143, asked=lambda: True)
    with Agreement(Alone(), stop).until_one_stops(Input("a"), VOID) as batches:
        assert next(batches) == "a"
        with pytest.raises(Stopped):
            next(batches)
