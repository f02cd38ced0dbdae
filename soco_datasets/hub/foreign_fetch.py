"""Files from other hosts than the Hub, only those that the user names: https, public addresses, no redirects, bounded.

The name is resolved once, every address that it has must be public, and the connection goes to one of these: what the
name means a moment later plays no part. The certificate is checked against the name.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from ..utils.files import atomic_file
from ..utils.text import public_url
from .submission import SubmissionError

_SECONDS = 30  # without a byte
_WHOLE = 3600  # seconds for one file
_PIECE = 1 << 20
_UNICAST = ipaddress.ip_network("2000::/3")  # what IPv6 addresses of the Internet begin with


@dataclass(frozen=True)
class AllowedHosts:
    """The hosts that files may come from, beside the Hub.

    Attributes:
        names: host names, or HOST:PORT for another port than 443.
        private: whether they may have private addresses, such as a server within a laboratory.
        certificates: file of certificates to trust beside the system's, None = no others.
    """

    names: tuple[str, ...] = ()
    private: bool = False
    certificates: Path | None = None


def fetch(url: str, target: Path, most: int, hosts: AllowedHosts) -> None:
    """Download one file, whole or not at all.

    Args:
        url: https.
        target: the file to write.
        most: bytes that it may have.
        hosts: that are allowed.

    Raises:
        SubmissionError: another scheme or host, an address that is not public, a redirect, too large, too slow, or an
            answer that is not the file.
    """
    parts = urlsplit(url)
    shown = public_url(url)
    if parts.scheme != "https":
        raise SubmissionError(f"{shown} is not https, so it is not downloaded")
    if "@" in parts.netloc or parts.netloc.lower() not in {name.lower() for name in hosts.names}:
        raise SubmissionError(
            f"{shown} is not on the Hub, and nothing is downloaded from elsewhere unless its host is named: "
            f"--allow-host {parts.hostname}"
        )
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    connection = _Pinned(str(parts.hostname), parts.port or 443, hosts)
    try:
        connection.request("GET", path or "/", headers={"User-Agent": "soco-datasets", "Accept-Encoding": "identity"})
        answer = connection.getresponse()
        _check_answer(answer, shown, most)
        with atomic_file(target) as temporary, open(temporary, "wb") as file:
            _copy(answer, file, shown, most)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, SubmissionError):
            raise
        raise SubmissionError(f"{shown} cannot be downloaded: {error}") from error
    finally:
        connection.close()


class _Pinned(http.client.HTTPSConnection):
    """A connection to the address that was checked, whatever its name means by then."""

    def __init__(self, host: str, port: int, hosts: AllowedHosts) -> None:
        context = ssl.create_default_context()
        if hosts.certificates is not None:
            context.load_verify_locations(hosts.certificates)
        super().__init__(host, port, timeout=_SECONDS, context=context)
        self._address, self._context_of = _address(host, port, hosts.private), context

    def connect(self) -> None:
        """See `http.client.HTTPSConnection.connect`."""
        plain = socket.create_connection((self._address, self.port), self.timeout)
        self.sock = self._context_of.wrap_socket(plain, server_hostname=self.host)


def _address(host: str, port: int, private: bool) -> str:
    """One address of a host. Raises `SubmissionError` where any of its addresses is not public."""
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError as error:
        raise SubmissionError(f"{host} is not known: {error}") from error
    for address in found:
        if not private and not is_public(address):
            raise SubmissionError(f"{host} has the address {address}, which is not a public one: nothing is fetched")
    return found[0]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public Internet, and none that stands for another.

    >>> [is_public(a) for a in ("8.8.8.8", "127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:10.0.0.1")]
    [True, False, False, False, False, False]
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and (
        parsed not in _UNICAST or parsed.sixtofour is not None or parsed.teredo is not None
    ):
        return False  # beside these two, all that stand for IPv4 addresses or stay within a site are outside
    return parsed.is_global and not parsed.is_multicast


def _check_answer(answer: http.client.HTTPResponse, shown: str, most: int) -> None:
    if 300 <= answer.status < 400:
        raise SubmissionError(f"{shown} leads elsewhere ({answer.status}), and redirects are not followed")
    if answer.status != 200:
        raise SubmissionError(f"{shown} cannot be downloaded: the server answers with status {answer.status}")
    stated = answer.getheader("Content-Length")
    if stated is not None and int(stated) > most:
        raise SubmissionError(f"{shown} has {int(stated):,} bytes, more than the {most:,} that are downloaded")


def _copy(answer: http.client.HTTPResponse, file: BinaryIO, shown: str, most: int) -> None:
    """The body, counted: a server may state no length, or a wrong one."""
    total, end = 0, time.monotonic() + _WHOLE
    while piece := answer.read1(_PIECE):  # what is there: a server may send a byte at a time
        total += len(piece)
        if total > most:
            raise SubmissionError(f"{shown} has more than the {most:,} bytes that are downloaded")
        if time.monotonic() > end:
            raise SubmissionError(f"{shown} takes more than {_WHOLE / 60:.0f} minutes")
        file.write(piece)
