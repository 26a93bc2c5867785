"""The processes of a cluster meet at the address of process 0, each with a number of its own."""

import ipaddress
import socket
import time
from typing import Any, NamedTuple

from inkstream.command_line import Failure
from trainer.hosts.cluster import Cluster
from trainer.hosts.lines import Lines

GATHER_TIMEOUT_S = 300.0
_RETRY_S = 0.5
_HELLO_TIMEOUT_S = 5.0  # a stranger that says nothing keeps nobody waiting


class Gathered(NamedTuple):
    """What a process knows when all have met.

    Args:
        hosts: Where the processes run, by number.
        links: Connections: of process 0 to all others, of any other one to process 0.
        jax_port: Of JAX's coordinator, on the host of process 0.
    """

    hosts: list[str]
    links: dict[int, Lines]
    jax_port: int


def gather(cluster: Cluster, timeout_s: float = GATHER_TIMEOUT_S) -> Gathered:
    """Waits until every process of the cluster is there.

    Raises:
        Failure: Somebody did not come in time, this process is one too many, or the port is taken.
    """
    deadline = time.monotonic() + timeout_s
    return _receive(cluster, deadline) if cluster.process == 0 else _come(cluster, deadline)


def listening_host(host: str) -> str:
    """What process 0 listens on to be reached as `host`: only loopback for loopback, else "", every interface."""
    try:
        return host if ipaddress.ip_address(host).is_loopback else ""
    except ValueError:
        return "127.0.0.1" if host == "localhost" else ""


def _listen(host: str, port: int) -> socket.socket:
    if host:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _receive(cluster: Cluster, deadline: float) -> Gathered:
    try:
        listener = _listen(listening_host(cluster.host), cluster.port)
    except OSError as error:
        raise Failure(
            f"process 0 cannot listen on port {cluster.port} of --coordinator: {error.strerror}. Choose another port"
        ) from None
    hosts = {0: socket.gethostname()}
    links: dict[int, Lines] = {}
    with listener:
        while len(hosts) < cluster.processes:
            listener.settimeout(max(0.0, deadline - time.monotonic()))
            try:
                connection, _ = listener.accept()
            except (TimeoutError, BlockingIOError):
                missing = ", ".join(str(number) for number in range(cluster.processes) if number not in hosts)
                why = (
                    f"of {cluster.processes} processes these did not come in time: {missing}. Start the same command "
                    "for each of them, with its --process-id"
                )
                for link in links.values():
                    _refuse(link, why)
                raise Failure(why) from None
            link = Lines(connection)
            hello = link.receive(_HELLO_TIMEOUT_S)
            if hello is None or not _is_hello(hello):
                link.close()
                continue
            number = hello["process"]
            if number in links and links[number].ended():  # it was started again
                del hosts[number], links[number]
            if rule := _refusal(cluster, hello, hosts):
                _refuse(link, rule)
                continue
            hosts[number], links[number] = hello["host"], link
    with socket.create_server(("", 0)) as free:
        jax_port = free.getsockname()[1]
    known = [hosts[number] for number in range(cluster.processes)]
    for link in links.values():
        link.send(kind="welcome", hosts=known, jax_port=jax_port)
    return Gathered(known, links, jax_port)


def _is_hello(message: dict[str, Any]) -> bool:
    """Whether this is what another process says; whoever finds the port may say anything."""
    kinds = {"kind": str, "process": int, "processes": int, "host": str}
    return message.get("kind") == "hello" and all(isinstance(message.get(key), kind) for key, kind in kinds.items())


def _refuse(link: Lines, why: str) -> None:
    link.send(kind="refused", why=why)
    link.close()


def _refusal(cluster: Cluster, hello: dict[str, Any], hosts: dict[int, str]) -> str | None:
    number, processes = hello["process"], hello["processes"]
    if processes != cluster.processes:
        return (
            f"--processes must be the same everywhere: process 0 has {cluster.processes}, process {number} {processes}"
        )
    if not 0 <= number < processes:
        return f"--process-id must be from 0 to {processes - 1}, got {number}"
    if number in hosts:
        return f"every process needs a --process-id of its own: {number} is at work on {hosts[number]} already"
    return None


def _come(cluster: Cluster, deadline: float) -> Gathered:
    where = f"{cluster.host}:{cluster.port}"
    while (left_s := deadline - time.monotonic()) > 0:
        try:
            link = Lines(socket.create_connection((cluster.host, cluster.port), timeout=left_s))
        except OSError:  # not there yet, or its name is not known yet
            time.sleep(_RETRY_S)
            continue
        link.send(kind="hello", process=cluster.process, processes=cluster.processes, host=socket.gethostname())
        answer = link.receive(deadline - time.monotonic())
        if answer is not None and answer.get("kind") == "welcome":
            return Gathered(answer["hosts"], {0: link}, answer["jax_port"])
        link.close()
        if answer is not None and answer.get("kind") == "refused":
            raise Failure(answer["why"])
        time.sleep(_RETRY_S)  # it ended meanwhile, and may be started again
    raise Failure(f"process 0 of {cluster.processes} did not answer in time at --coordinator {where}: is it running?")
