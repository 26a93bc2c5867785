"""Exit code 0 if the batch server in this container serves, 1 if not, for engines that cannot ask gRPC health.

With TLS it trusts the server's own certificate file, whatever name that is for. Where the server wants certificates of
its clients, it shows the server's, so that must be one which --tls-client-ca accepts.
"""

import os
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_S = 4


def connect(port: int) -> Any:
    """A channel to the server of this container."""
    cert, key = (os.environ.get(f"INKSTREAM_TLS_{kind}") for kind in ("CERT", "KEY"))
    if not (cert and key):
        return grpc.insecure_channel(f"127.0.0.1:{port}")
    shown = Path(cert).read_bytes()
    credentials = grpc.ssl_channel_credentials(shown, Path(key).read_bytes(), shown)
    name = certified_name(port, cert, key)
    return grpc.secure_channel(f"127.0.0.1:{port}", credentials, [("grpc.ssl_target_name_override", name)])


def certified_name(port: int, cert: str, key: str) -> str:
    """A name that the server's certificate is for."""
    context = ssl.create_default_context(cafile=cert)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it need not be an authority's
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(cert, key)
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as raw, context.wrap_socket(raw) as peer:
        names: Any = peer.getpeercert()
    return str(names["subjectAltName"][0][1]).replace("*", "any")


def main() -> None:
    """Asks once."""
    port = int(os.environ.get("INKSTREAM_LISTEN", "0.0.0.0:50051").rpartition(":")[2])
    try:
        with connect(port) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
    except OSError as error:
        sys.exit(f"no TLS on port {port}: {error}")
    except grpc.RpcError as error:
        sys.exit(f"no answer on port {port}: {error.code().name}")
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        sys.exit(f"port {port}: {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}")


if __name__ == "__main__":
    main()
