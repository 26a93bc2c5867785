"""A process joins the others, and JAX sees the devices of all."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from trainer.hosts.cluster import Cluster
from trainer.hosts.gathering import gather, listening_host
from trainer.hosts.peers import Alone, Peers
from trainer.hosts.relay import Relay

_AT_ONCE_S = 60  # when JAX is started, and shut down, all processes are known to be there


@contextmanager
def joined(cluster: Cluster | None) -> Iterator[Alone | Peers]:
    """The other processes, watched; to be entered before anything else makes JAX look for devices.

    Raises:
        Failure: They did not come.
    """
    if cluster is None:
        yield Alone()
        return
    hosts, links, jax_port = gather(cluster)
    listens = listening_host(cluster.host)
    if ":" in listens:
        listens = f"[{listens}]"
    with Peers(cluster.process, hosts, links, cluster.silence_s) as peers:
        if peers.first:
            address = f"{listens or '127.0.0.1'}:{jax_port}"
        else:
            relay = Relay(cluster.host, jax_port)
            address = relay.address
        jax.config.update("jax_enable_preemption_service", False)  # it would swallow SIGTERM
        jax.distributed.initialize(
            address,
            cluster.processes,
            cluster.process,
            cluster_detection_method="deactivate",
            coordinator_bind_address=f"{listens or '[::]'}:{jax_port}",
            initialization_timeout=_AT_ONCE_S,
            shutdown_timeout_seconds=_AT_ONCE_S,
        )
        yield peers
    jax.distributed.shutdown()
