"""TLS towards other servers: whom to trust, and with which certificate to show up."""

from __future__ import annotations

import ssl
from contextlib import suppress
from functools import cache
from pathlib import Path

from antiphon.errors import ConfigError


@cache
def default_context() -> ssl.SSLContext:
    """Return the context of all who trust the system's authorities (or those of SSL_CERT_FILE)."""
    return ssl.create_default_context()


def client_context(ca: str = "", cert: str = "", key: str = "", *, path: str = "") -> ssl.SSLContext:
    """Return a context that trusts `ca` beside the system's authorities, and shows `cert` to the server.

    `ca` is a file with certificates, `cert` a file with a certificate and its chain, `key` its private
    key where that is not in the same file. `path` is put before names of settings in errors. Raises ConfigError.
    """
    if key and not cert:
        raise ConfigError(f"{path}client_key: needs client_cert")
    if not (ca or cert):
        return default_context()
    context = ssl.create_default_context()
    if ca:
        try:
            context.load_verify_locations(cafile=Path(ca).expanduser())
        except OSError as error:  # ssl.SSLError is one
            raise ConfigError(f"{path}ca: {ca} cannot be used: {_reason(error)}") from None
    if cert:
        load_pair(context, cert, key, f"{path}client_cert", f"{path}client_key")
    return context


def tls_fault(error: BaseException | None) -> str:
    """Return what a TLS error means for whoever set the backend up; "" for other errors."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "The backend's certificate is not trusted."
    # OpenSSL's names of what the other side says have this word.
    if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
        return "The backend refuses the TLS connection: it may want a client certificate."
    return ""


def stamps(*files: str) -> tuple[tuple[str, int, int], ...]:
    """Return what tells whether files are still the same: a renewed certificate has the name of the one before."""
    found = []
    for file in filter(None, files):
        with suppress(OSError):
            stat = Path(file).expanduser().stat()
            found.append((file, stat.st_mtime_ns, stat.st_ino))
    return tuple(found)


def load_pair(context: ssl.SSLContext, cert: str, key: str, cert_name: str, key_name: str) -> None:
    """Let a context show a certificate. Raises ConfigError that names the setting at fault."""
    files = {cert_name: Path(cert).expanduser(), **({key_name: Path(key).expanduser()} if key else {})}
    for name, file in files.items():
        try:
            file.open("rb").close()
        except OSError as error:
            raise ConfigError(f"{name}: {file} cannot be read: {error.strerror}") from None
    try:
        context.load_cert_chain(files[cert_name], files.get(key_name), password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"{cert_name}: {cert} cannot be used: {_reason(error)}; a certificate with its chain, and an unencrypted"
            f" private key that belongs to it, are expected"
        ) from None


def _no_password() -> str:
    """Answer OpenSSL's question for the password of an encrypted key, which would wait at the terminal."""
    raise ValueError("the private key is encrypted")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error) or "not PEM"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
