"""What a client shows to servers, and by what it knows them: certificates and tokens, from files that may change."""

import logging
import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import grpc

from inkstream.errors import InvalidRequest
from inkstream.reloading import Contents, Reloaded

_LOG = logging.getLogger(__name__)

FilePath: TypeAlias = str | os.PathLike[str]

# RFC 6750, section 2.1, of a length that nobody guesses.
_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]{16,1024}=*")


@dataclass(frozen=True)
class TLS:
    """How a client and its servers know each other. Files are PEM, and are read again when they change.

    Args:
        ca: Certificates of the authorities that sign the servers' certificates; None for those of this machine.
        cert: The client's own certificate, with those between it and its authority, where servers ask for one (mTLS).
        key: Its private key, without a passphrase.
        server_name: The name that servers' certificates must hold; None for the one in the server's address.

    Raises:
        InvalidRequest: A file is not given by its path, or the name is no text.
    """

    ca: FilePath | None = None
    cert: FilePath | None = None
    key: FilePath | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        for name in ("ca", "cert", "key"):
            _check_path(name, getattr(self, name))
        if not isinstance(self.server_name, str | None):
            raise InvalidRequest(f"server_name must be the name of a host, got a {type(self.server_name).__name__}")


class Credentials:
    """The credentials of one client, for all of its channels.

    Args:
        tls: None for connections without encryption.
        token_file: A file whose first line is the bearer token; None for no token.

    Attributes:
        server_name: The name that servers' certificates must hold, if it is not that of their address.

    Raises:
        InvalidRequest: A file cannot be read or makes no sense.
    """

    def __init__(self, tls: TLS | None = None, token_file: FilePath | None = None):
        if not isinstance(tls, TLS | None):
            raise InvalidRequest(f"tls must be an inkstream.TLS, as in inkstream.TLS(ca='ca.pem'), got {tls!r}")
        _check_path("token_file", token_file)
        self.server_name = tls.server_name if tls else None
        self._tls: Reloaded[Any] | None = None
        self._token: Reloaded[tuple[str, ...]] | None = None
        try:
            if tls is not None:
                self._tls = _channel_credentials(tls)
            if token_file is not None:
                # Looked at for each call: a server may refuse the old token as soon as the new one is here.
                self._token = Reloaded([Path(token_file)], read_tokens, look_every_s=0)
        except (OSError, ValueError) as error:
            raise InvalidRequest(str(error)) from None
        if token_file is not None and tls is None:
            _LOG.warning("a token without TLS: who can read along on the network learns it; give ca (--tls-ca)")

    def for_channel(self) -> Any:
        """The `grpc.ChannelCredentials` of now, another object after a change of their files; None without TLS."""
        return self._tls.current() if self._tls else None

    def for_call(self) -> tuple[tuple[str, str], ...]:
        """The metadata of a call that begins now."""
        return (("authorization", f"Bearer {self._token.current()[0]}"),) if self._token else ()


def _check_path(name: str, path: object) -> None:
    if not isinstance(path, str | os.PathLike | None):
        raise InvalidRequest(f"{name} must be the path of a file, got a {type(path).__name__}")


def read_tokens(contents: Contents) -> tuple[str, ...]:
    """The bearer tokens of a file, one a line; empty lines are ignored.

    Args:
        contents: Of one file.

    Raises:
        ValueError: There is none, or a line is no token. The text names the line and does not quote it.
    """
    ((path, data),) = contents.items()
    tokens = []
    for number, line in enumerate(data.splitlines(), 1):
        if not (token := line.strip()):
            continue
        if not _TOKEN.fullmatch(token):
            raise ValueError(
                f"{path}, line {number}: a token must be 16 to 1024 letters, digits or ._~+/- (and = at its end): make "
                "one with `openssl rand -hex 32`"
            )
        tokens.append(token.decode())
    if not tokens:
        raise ValueError(f"{path} must hold a token, one a line, but is empty: make one with `openssl rand -hex 32`")
    return tuple(tokens)


def check_key_pair(cert: Path, key: Path, context: ssl.SSLContext) -> None:
    """Loads a certificate and its private key into a context, which finds out whether they fit.

    Raises:
        OSError: A file cannot be read.
        ValueError: They are no certificate and key in PEM, they do not belong together, or the key has a passphrase.
    """
    encrypted = False

    def refuse() -> str:
        nonlocal encrypted
        encrypted = True
        return ""

    try:
        context.load_cert_chain(cert, key, refuse)  # without a callback it would ask the terminal
    except ssl.SSLError as error:
        if encrypted:
            raise ValueError(f"{key} has a passphrase, which nobody can be asked for: store it without") from None
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError(f"{key} is not the private key of {cert}: give the two that were made together") from None
        raise ValueError(f"{cert} and {key} must be a certificate and its private key in PEM: {error}") from None


def check_authorities(path: Path, pem: bytes, context: ssl.SSLContext) -> None:
    """Loads certificates of authorities into a context.

    Raises:
        ValueError: They are no certificates in PEM.
    """
    try:
        context.load_verify_locations(cadata=pem.decode("ascii", "replace"))
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(f"{path} must hold certificates of authorities in PEM: {error}") from None


def _channel_credentials(tls: TLS) -> Reloaded[Any]:
    """Those of gRPC.

    Raises:
        OSError: A file cannot be read.
        ValueError: The files make no sense.
    """
    if (tls.cert is None) != (tls.key is None):
        missing, given = ("key", "cert") if tls.key is None else ("cert", "key")
        raise ValueError(f"a client's certificate needs its private key: give {missing} too, or leave out {given}")
    ca, cert, key = (Path(path) if path is not None else None for path in (tls.ca, tls.cert, tls.key))

    def load(contents: Contents) -> Any:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if ca:
            check_authorities(ca, contents[ca], context)
        if cert and key:
            check_key_pair(cert, key, context)
        return grpc.ssl_channel_credentials(
            contents[ca] if ca else _authorities_of_this_machine(),
            contents[key] if key else None,
            contents[cert] if cert else None,
        )

    return Reloaded([path for path in (ca, cert, key) if path], load)


def _authorities_of_this_machine() -> bytes:
    """In PEM. Without them gRPC would take those that it brings along, which know nothing of a company's own."""
    found = ssl.create_default_context().get_ca_certs(binary_form=True)
    if not found:
        raise ValueError("this machine has no certificates of authorities: name a file with those of the servers (ca)")
    return "".join(map(ssl.DER_cert_to_PEM_cert, found)).encode()
