"""The server's certificate, and the authorities whose clients it lets in: read anew for each handshake."""

import ssl
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from inkstream.credentials import check_authorities, check_key_pair
from inkstream.reloading import Contents, Reloaded


class _Loaded(NamedTuple):
    """One state of the files, for gRPC and for Python's own servers."""

    configuration: Any
    context: ssl.SSLContext


class ServerCertificate:
    """A certificate that can be replaced while the server runs.

    The next handshake uses what the files hold by then; connections that are open go on. Where the files cannot be
    read, or certificate and key do not belong together (as in the middle of a change), the previous ones stay.

    Args:
        cert: The server's certificate, with those between it and its authority, PEM.
        key: Its private key, PEM, without a passphrase.
        client_ca: Certificates of the authorities that sign clients' certificates, PEM; a client without such a
            certificate is then refused (mTLS). None asks clients for no certificate.

    Raises:
        OSError: A file cannot be read now.
        ValueError: The files make no sense now.
    """

    def __init__(self, cert: Path, key: Path, client_ca: Path | None = None):
        self._cert, self._key, self._client_ca = cert, key, client_ca
        # Looked at for each handshake, which costs far more than reading three small files.
        paths = [path for path in (cert, key, client_ca) if path]
        self._loaded = Reloaded(paths, self._load, look_every_s=0)

    def grpc_credentials(self) -> Any:
        """The `grpc.ServerCredentials` for a port; gRPC asks for the newest configuration before each handshake."""
        return grpc.dynamic_ssl_server_credentials(
            self._loaded.current().configuration,
            lambda: self._loaded.current().configuration,
            require_client_authentication=self._client_ca is not None,
        )

    def ssl_context(self) -> ssl.SSLContext:
        """For a server of Python's own, which asks for it before each handshake."""
        return self._loaded.current().context

    def _load(self, contents: Contents) -> _Loaded:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        check_key_pair(self._cert, self._key, context)
        authorities = None
        if self._client_ca:
            authorities = contents[self._client_ca]
            check_authorities(self._client_ca, authorities, context)
            context.verify_mode = ssl.CERT_REQUIRED
        pair = contents[self._key], contents[self._cert]
        return _Loaded(grpc.ssl_server_certificate_configuration([pair], authorities), context)
