from hypothesis import given
from hypothesis import strategies as st

from trainer.optimization.timetable import Timetable


@given(st.integers(1, 20), st.integers(1, 70), st.integers(1, 9), st.integers(1, 30))
def test_updates_take_their_steps_and_end_with_the_epoch(steps_per_epoch, steps, accumulate, eval_every):
    timetable = Timetable(steps_per_epoch, steps, accumulate, eval_every)
    updates, ended = [[]], 0
    for number in range(steps):
        epoch, step = divmod(number, steps_per_epoch)
        assert timetable.update(epoch, step) == ended
        updates[-1].append(epoch)
        if timetable.ends_update(step):
            updates.append([])
            ended += 1
    begun = [taken for taken in updates if taken]
    assert timetable.updates == len(begun) and timetable.epochs == updates[0 if not begun else len(begun) - 1][0] + 1
    for taken in begun:
        assert len(taken) <= accumulate and len(set(taken)) == 1  # no update spans epochs


def test_evaluations_follow_every_so_many_steps_and_the_last():
    timetable = Timetable(steps_per_epoch=10, steps=25, accumulate=1, eval_every=7)
    assert [step for step in range(26) if timetable.evaluation(step)] == [7, 14, 21, 25]
    assert [timetable.evaluation(step) for step in (7, 14, 21, 25)] == [1, 2, 3, 4]
