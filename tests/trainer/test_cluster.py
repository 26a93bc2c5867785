import pytest

from inkstream.command_line import UsageError
from trainer.hosts.cluster import Cluster, cluster_of, first_node

SRUN = {
    "SLURM_JOB_ID": "70001",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NODELIST": "gpu[07-09,12]",
    "SLURM_PROCID": "2",
}
BATCH_SCRIPT = {
    "SLURM_JOB_ID": "70001",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "0",
    "SLURM_JOB_NODELIST": "gpu[07-09,12]",
}


def cluster(coordinator=None, processes=None, process_id=None, environ=None, silence_s=30.0):
    return cluster_of(coordinator, processes, process_id, silence_s, environ or {})


def test_options_say_which_processes_train_together():
    assert cluster("a:4400", 2, 1) == Cluster("a", 4400, 2, 1, 30.0)
    assert cluster("[::1]:4400", 2, 0).host == "::1"


@pytest.mark.parametrize(
    ("given", "environ"),
    [
        ({}, {}),
        ({"processes": 1}, {}),
        ({"processes": 1}, SRUN),  # how to train alone within a step
        ({}, BATCH_SCRIPT),  # an allocation without srun is one process
        ({}, {"JOB_COMPLETION_INDEX": "3"}),  # trainings that have nothing to do with each other
        ({}, {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}),
    ],
)
def test_a_single_process_trains_alone(given, environ):
    assert cluster(**given, environ=environ) is None


def test_srun_says_everything():
    assert cluster(environ=SRUN) == Cluster("gpu07", 61440 + 70001 % 4096, 4, 2, 30.0)
    assert cluster(coordinator="gpu08:1", environ=SRUN).host == "gpu08"


def test_an_indexed_job_numbers_its_processes():
    assert cluster("fit-0.fit:4400", 3, environ={"JOB_COMPLETION_INDEX": "2"}).process == 2
    assert cluster("fit-0.fit:4400", 3, 1, environ={"JOB_COMPLETION_INDEX": "2"}).process == 1


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node001", "node001"),
        ("node001,host2", "node001"),
        ("node[001-015],host2", "node001"),
        ("node[001,007-015],host2", "node001"),
        ("login,node[001-015]", "login"),
        ("rack[1-2]-gpu,host2", "rack1-gpu"),
    ],
)
def test_the_first_host_of_a_list_of_slurm(nodes, first):
    assert first_node(nodes) == first


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"processes": 0}, "--processes must be a whole number from 1"),
        ({"processes": 5000}, "got 5000"),
        ({"coordinator": "a:1"}, "--processes must be"),
        ({"process_id": 1}, "--processes must be"),
        ({"processes": 1, "process_id": 1}, "--process-id must be below --processes, got 1 of 1"),
        ({"processes": 2, "coordinator": "a:1"}, "--processes 2 needs --process-id, 0 to 1"),
        ({"processes": 2, "process_id": 2, "coordinator": "a:1"}, "--process-id must be from 0 to 1, .* got 2"),
        ({"processes": 2, "process_id": -1, "coordinator": "a:1"}, "--process-id must be from 0 to 1, .* got -1"),
        ({"processes": 2, "process_id": 0}, "--processes 2 needs --coordinator HOST:PORT"),
        ({"processes": 2, "process_id": 0, "coordinator": "a"}, "--coordinator must be HOST:PORT .* got 'a'"),
        ({"processes": 2, "process_id": 0, "coordinator": "a:0"}, "a port from 1 to 65535, got 'a:0'"),
        ({"processes": 2, "silence_s": 1}, "--peer-timeout must be from 5 to"),
        ({"processes": 2, "silence_s": float("nan")}, "--peer-timeout must be"),
        ({"processes": 2, "environ": {"JOB_COMPLETION_INDEX": "x"}}, "JOB_COMPLETION_INDEX must be a whole number"),
    ],
)
def test_what_makes_no_sense_is_refused_with_rule_value_and_remedy(given, named):
    with pytest.raises(UsageError, match=named):
        cluster(**given)
