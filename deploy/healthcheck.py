"""Exit code 0 if the batch server in this container serves, 1 if not, for engines that cannot ask gRPC health."""

import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

port = os.environ.get("INKSTREAM_LISTEN", "0.0.0.0:50051").rpartition(":")[2]
with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    try:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=4)
    except grpc.RpcError as error:
        sys.exit(f"no answer on port {port}: {error.code().name}")
if answer.status != health_pb2.HealthCheckResponse.SERVING:
    sys.exit(f"port {port}: {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}")
