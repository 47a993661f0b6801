"""Telling why a server cannot be used: name, network, TLS or login."""

import socket
import ssl

from stalk.doctor.facts import Problem

__all__ = ["CONNECT_SECONDS", "speaks_tls", "why"]

CONNECT_SECONDS = 3.0


def why(error: BaseException, host: str, port: int, *, tls: bool) -> Problem:
    """Return what a failed connection means.

    Args:
        error: what the client raised.
        host: as configured.
        port: of the server.
        tls: whether the client spoke TLS.
    """
    where = f"{host}:{port}"
    chain = list(_chain(error))
    if any(isinstance(one, socket.gaierror) for one in chain) or _looks_like_dns(chain):
        return Problem("dns", where, f"the name {host} does not resolve")
    certificate = next((one for one in chain if isinstance(one, ssl.SSLCertVerificationError)), None)
    if certificate is not None:
        return Problem("tls", where, f"the certificate is refused: {certificate.verify_message}")
    open_port = _accepts(host, port)
    if not open_port:
        return Problem("unreachable", where, str(error) or type(error).__name__)
    if tls != speaks_tls(host, port):
        said = "the client speaks TLS, the server does not" if tls else "the server speaks TLS, the client does not"
        return Problem("tls", where, said)
    return Problem("other", where, f"{type(error).__name__}: {error}")


def speaks_tls(host: str, port: int) -> bool:
    """Tell whether a server answers a TLS greeting, whatever its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return True
    except OSError:
        return False


def _accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _chain(error: BaseException | None) -> "list[BaseException]":
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _looks_like_dns(chain: "list[BaseException]") -> bool:
    """redis-py wraps the resolver's error in a text."""
    return any("name resolution" in str(one) or "Name or service not known" in str(one) for one in chain)
