"""One file over HTTPS, taken for what it should be only when its digest says so.

A download that breaks off goes on where it stopped, if the server can say that it still has the same file,
and starts anew otherwise. Python's own urllib does the talking: with no handler but that of HTTPS it cannot
be led to plain HTTP or to a file of this machine. The usual libraries (requests, pooch, torch.hub) start anew
after a break, or go on without asking whether it is still the same file, and have no limits of size and time.
"""

import http.client
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from typing_extensions import override

from lit_delays.data.storage.partial_download import PIECE, Partial
from lit_delays.errors import InputError

ATTEMPTS = 4  # without news in between
PAUSE = 1.0  # s before another attempt, and twice as long before the next
NEWS = 2**20  # bytes that make an attempt count as progress
PATIENCE = 30.0  # s without content, or with too little of it
SLOWEST = 1000  # bytes/s over that time
PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP's words for: try again
MAX_VALIDATOR = 200  # characters

Report = Callable[[int, int | None], None]


class _Broken(Exception):
    """A download broke off; another attempt may help."""


class _Deadline:
    """When the next content must be there, whatever comes until then: heads, redirects, a byte a minute.

    Timeouts of sockets begin anew with every byte.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Content came."""
        self._end, self.heard = time.monotonic() + PATIENCE, False

    def left(self) -> float:
        """Seconds left, above 0.

        Raises:
            TimeoutError: If there are none.
        """
        if (left := self._end - time.monotonic()) <= 0:
            raise TimeoutError
        return left

    def said(self) -> str:
        """What happened, once it is over."""
        return f"no {'whole answer came within' if self.heard else 'byte came for'} {PATIENCE:g} s"


def download(address: str, partial: Partial, max_bytes: int, report: Report) -> None:
    """Fetch a file, going on where an earlier download broke off.

    Args:
        address: Where it lies, ``https://...``.
        partial: What there is of it; whole at the end.
        max_bytes: Most bytes to accept.
        report: Told how many bytes are there, and how many there will be, if the server says so.

    Raises:
        InputError: If it cannot be had: no network, no such file, not the one we know, too large, no HTTPS.
    """
    attempts = 0
    while not partial.is_whole:
        had = partial.size
        try:
            _attempt(address, partial, max_bytes, report)
        except _Broken as broken:
            attempts = 1 if partial.size >= had + NEWS else attempts + 1
            if attempts >= ATTEMPTS:
                way_out = "repeat the command to go on" if partial.size else "check the network and --mirror"
                raise InputError(f"cannot get {address}: {broken}; {way_out}.") from broken
            time.sleep(PAUSE * 2 ** (attempts - 1))
        else:
            if not partial.is_whole:
                partial.discard()
                if not had:  # else two files may have been mixed up: once more, from the start
                    raise InputError(f"{address} is not the file we know, and was not kept; check --mirror.")


def _attempt(address: str, partial: Partial, max_bytes: int, report: Report) -> None:
    try:
        deadline = _Deadline()
        with _ask(address, partial, deadline) as answer:
            total = _total(answer, partial, max_bytes)
            pieces = _pieces(answer, deadline)
            _receive(pieces, partial, max_bytes, lambda: report(partial.size, total))
        if total is not None and partial.size < total:
            raise _Broken(f"the connection ended after {partial.size:,} of {total:,} bytes")
    finally:
        if not partial.is_whole:
            partial.settle()


def _ask(address: str, partial: Partial, deadline: _Deadline) -> http.client.HTTPResponse:
    """An answer whose body continues the partial file, which starts anew where it has to."""
    request = urllib.request.Request(address)
    request.add_header("User-Agent", "lit_delays")
    request.add_header("Accept-Encoding", "identity")
    if partial.size:
        request.add_header("Range", f"bytes={partial.size}-")
        request.add_header("If-Range", partial.validator)
    answer = _open(request, deadline)
    goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {partial.size}-")
    if answer.status == 206 and partial.size and goes_on:
        return answer
    if answer.status != 200:
        partial.discard()
        raise _Broken(f"the server answers {answer.status} where it should not")
    partial.begin(_validator(answer))
    return answer


def _open(request: urllib.request.Request, deadline: _Deadline) -> http.client.HTTPResponse:
    if urlsplit(request.full_url).scheme != "https":
        raise InputError(f"an address must start with https://, got {request.full_url!r}.")
    try:
        answer: http.client.HTTPResponse = _https(deadline).open(request)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # it has fewer bytes than we have
            return error  # type: ignore[return-value]
        said = f"the server answers {error.code} {http.client.responses.get(error.code, '')}".strip()
        if error.code in PASSING:
            raise _Broken(said) from error
        raise InputError(f"cannot get {request.full_url}: {said}; check --mirror.") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            why = reason.verify_message
            raise InputError(
                f"cannot trust {request.host}: {why}; check the network and --mirror."
            ) from error
        raise _Broken(_said(reason, deadline)) from error
    return answer


def _https(deadline: _Deadline) -> urllib.request.OpenerDirector:
    class Socket(ssl.SSLSocket):
        def recv_into(self, *args: Any) -> int:  # which every read of an answer ends in
            self.settimeout(deadline.left())
            count = super().recv_into(*args)
            deadline.heard = True
            return count

    class Handler(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            req.timeout = deadline.left()  # of the connection and its handshake
            return super().https_open(req)

    context = ssl.create_default_context()
    context.sslsocket_class = Socket
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        Handler(context=context),
        _HttpsOnly(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    return opener


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects to HTTPS, without reading what else they say."""

    @override
    def http_error_302(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any) -> Any:
        fp.close()  # urllib reads it to its end, which may never come
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    @override
    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme != "https":
            raise InputError(f"{req.full_url} leads away from https, and was not followed; check --mirror.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _validator(answer: http.client.HTTPResponse) -> str:
    """What ``If-Range`` may name, where the server sends parts of files at all."""
    tag, date = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
    validator: str = date if tag.startswith("W/") or not tag else tag
    sends_parts = answer.headers.get("Accept-Ranges", "").strip().lower() == "bytes"
    return (
        validator
        if sends_parts and validator.isascii() and validator.isprintable() and len(validator) <= MAX_VALIDATOR
        else ""
    )


def _total(answer: http.client.HTTPResponse, partial: Partial, max_bytes: int) -> int | None:
    if (coming := answer.length) is None:
        return None
    total = partial.size + coming
    if total > max_bytes:
        raise InputError(f"the server promises {total:,} bytes, above the limit of {max_bytes:,}; refused.")
    folder = partial.path.parent
    if (free := shutil.disk_usage(folder).free) < coming:
        raise InputError(f"{folder} has room for {free:,} bytes, {coming:,} are to come; make room.")
    return total


def _receive(pieces: Iterator[bytes], partial: Partial, max_bytes: int, report: Callable[[], None]) -> None:
    since, had = time.monotonic(), partial.size
    for piece in pieces:
        if partial.size + len(piece) > max_bytes:
            partial.discard()
            raise InputError(
                f"the server sends more than the limit of {max_bytes:,} bytes; nothing was kept."
            )
        partial.append(piece)
        report()
        if (waited := time.monotonic() - since) > PATIENCE:
            if partial.size - had < SLOWEST * waited:
                raise _Broken("the server is too slow")
            since, had = time.monotonic(), partial.size


def _pieces(answer: http.client.HTTPResponse, deadline: _Deadline) -> Iterator[bytes]:
    try:
        deadline.renew()
        while piece := answer.read1(PIECE):
            yield piece
            deadline.renew()
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(_said(error, deadline)) from error


def _said(error: object, deadline: _Deadline) -> str:
    if isinstance(error, TimeoutError):
        return deadline.said()
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return "".join(c if c.isprintable() else " " for c in said)
