"""The tf.data service, with a dispatcher and a worker in another process: `tf_data_service.py FILE auto|none`.

`auto` compresses batches between worker and trainer, as is the default. TensorFlow lets dispatcher and worker listen on
all interfaces, for the seconds that they live.
"""

import os
import subprocess
import sys

import tensorflow as tf
from rate import print_rate
from tf_data import drawn_batches

service = tf.data.experimental.service
COMPRESSIONS = {"auto": "AUTO", "none": None}


def work(path: str) -> None:
    """Dispatcher and worker, until they are killed."""
    # Python functions are not sent: a worker finds its own by their number, so it must make the same ones first.
    functions = drawn_batches(path)
    dispatcher = service.DispatchServer()
    worker = service.WorkerServer(service.WorkerConfig(dispatcher_address=dispatcher.target.removeprefix("grpc://")))
    print(dispatcher.target, flush=True)
    worker.join()
    del functions


def train(path: str, compression: str) -> None:
    """Starts the other process, and reads."""
    with subprocess.Popen([sys.executable, __file__, path, "work"], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        distributed = service.distribute(
            processing_mode=service.ShardingPolicy.OFF,
            service=worker.stdout.readline().strip(),
            compression=COMPRESSIONS[compression],
        )
        batches = drawn_batches(path).apply(distributed).prefetch(tf.data.AUTOTUNE)
        try:
            print_rate(int(pictures.shape[0]) for pictures, _ in batches)
        finally:
            worker.kill()
    # Threads of TensorFlow would look for the service for minutes.
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[2] == "work":
        work(sys.argv[1])
    else:
        train(*sys.argv[1:])
