import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.records.tensorboard import EventLog, events

EVAL_EVERY, LAST = 3, 10


def go_on(folder, done, evaluated):
    """As a run does from a checkpoint: first with an evaluation that is still due."""
    log = EventLog(folder, done, evaluated)
    for step in range(done, LAST + 1):
        if step > done:
            log.add_step({"step": step, "loss": 1 / step})
        if step > evaluated and step % EVAL_EVERY == 0:
            log.add_evaluation({"step": step, "map3": None, "train_loss": 2 / step})
    log.close()


def values(folder):
    files = sorted(folder.iterdir(), key=lambda path: int(path.suffix[1:]))
    found = [event for path in files for event, _ in events(path)]
    return [(event.step, value.tag, value.simple_value) for event in found for value in event.summary.value]


@settings(deadline=None, max_examples=25)
@given(checkpoint=st.integers(0, LAST), due=st.booleans(), torn=st.integers(0, 80))
def test_cutting_and_going_on_equals_never_having_stopped(checkpoint, due, torn):
    with tempfile.TemporaryDirectory() as parent:
        stopped, undisturbed = Path(parent) / "stopped", Path(parent) / "undisturbed"
        go_on(undisturbed, 0, 0)
        go_on(stopped, 0, 0)
        (file,) = stopped.iterdir()
        file.write_bytes(file.read_bytes()[: file.stat().st_size - torn])  # in the middle of an event
        done = min(checkpoint, max(step for step, tag, _ in values(stopped) if tag == "step/loss") - 1)
        evaluated = done - done % EVAL_EVERY
        if due and evaluated == done > 0:
            evaluated -= EVAL_EVERY
        go_on(stopped, done, evaluated)
        assert values(stopped) == values(undisturbed)
