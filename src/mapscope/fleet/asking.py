"""One request for one profile: bounded in time and size, to one host only, and every failure has a name."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Mapping
from typing import Final

import httpx2

from mapscope.errors import EvidenceError
from mapscope.fleet.config import Authorization, BasicAuth, TLSConfig
from mapscope.profiles.fetch import inflate

_MAX_REDIRECTS = 3
_MAX_SECRET = 64 << 10

UNREACHABLE: Final = "unreachable"
TIMEOUT: Final = "timeout"
CERTIFICATE: Final = "certificate"
STATUS: Final = "status"
REDIRECT: Final = "redirect"
TOO_LARGE: Final = "too_large"
CUT_SHORT: Final = "cut_short"
NO_PROFILE: Final = "no_profile"
SECRET: Final = "secret"  # noqa: S105  # the name of a reason
JUDGING: Final = "judging"
REASONS: Final = (
    UNREACHABLE,
    TIMEOUT,
    CERTIFICATE,
    STATUS,
    REDIRECT,
    TOO_LARGE,
    CUT_SHORT,
    NO_PROFILE,
    SECRET,
    JUDGING,
)
"""Why a profile was not had: a value of a label, so there are few."""


class AskError(EvidenceError):
    """A profile was not had. ``reason`` is one of REASONS; ``status`` the answer's, where there was one."""

    def __init__(self, reason: str, message: str, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint)
        self.reason = reason
        self.status = status


def make_client(tls: TLSConfig) -> httpx2.AsyncClient:
    """Connections with this idea of certificates. AskError where a file of them cannot be used."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        raise AskError(
            SECRET, f"cannot use the files of tls_config: {error}", "are they PEM files, and readable?"
        ) from error
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return httpx2.AsyncClient(
        verify=context, trust_env=False, follow_redirects=False, headers={"User-Agent": "mapscope"},
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),  # once a minute: nothing to keep
    )  # fmt: skip


def secrets_of(authorization: Authorization | None, basic: BasicAuth | None) -> dict[str, str]:
    """The header that proves who we are; its file is read now. AskError."""
    if authorization is not None:
        return {"Authorization": f"{authorization.type} {secret(authorization.credentials_file)}"}
    if basic is not None:
        pair = f"{basic.username}:{secret(basic.password_file)}".encode()
        return {"Authorization": "Basic " + base64.b64encode(pair).decode("ascii")}
    return {}


async def ask(
    client: httpx2.AsyncClient,
    url: str,
    headers: Mapping[str, str],
    timeout: float,
    limit: int,
    server_name: str | None = None,
) -> bytes:
    """The body of ``url``: at most ``limit`` bytes, all within ``timeout`` seconds. AskError.

    A redirection is followed on the same scheme, host and port only. A body that a proxy compressed is inflated, within
    the same limit.
    """
    try:
        async with asyncio.timeout(timeout):
            for _ in range(_MAX_REDIRECTS + 1):
                found = await _once(client, url, headers, limit, server_name)
                if isinstance(found, bytes):
                    return found
                url = found
    except TimeoutError:
        raise AskError(TIMEOUT, f"{url} did not end within {timeout:g} s", "raise scrape_timeout") from None
    except httpx2.TimeoutException:
        raise AskError(TIMEOUT, f"{url} did not answer within {timeout:g} s", "raise scrape_timeout") from None
    except httpx2.RemoteProtocolError as error:
        raise AskError(
            CUT_SHORT, f"{url} broke off its answer: {_said(error)}", "is it HTTP, and not HTTPS?"
        ) from error
    except (httpx2.ConnectError, httpx2.NetworkError) as error:
        if (cause := _certificate(error)) is not None:
            raise AskError(
                CERTIFICATE, f"the certificate of {url} is not trusted: {cause}", "set tls_config"
            ) from error
        raise AskError(UNREACHABLE, f"cannot reach {url}: {_said(error)}", "is net/http/pprof served there?") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError, ValueError) as error:
        raise AskError(UNREACHABLE, f"cannot ask {url}: {_said(error)}", "check scheme, host and path") from error
    raise AskError(REDIRECT, f"{url} redirects more than {_MAX_REDIRECTS} times", "set the path to where it leads")


async def _once(
    client: httpx2.AsyncClient, url: str, headers: Mapping[str, str], limit: int, server_name: str | None
) -> bytes | str:
    """The body, or the URL that it redirects to."""
    extensions = {} if server_name is None else {"sni_hostname": server_name}
    given = {"Accept-Encoding": "identity", **headers}
    async with client.stream("GET", url, headers=given, timeout=None, extensions=extensions) as answer:
        if answer.is_redirect:
            return _next(answer)
        if answer.status_code != 200:
            raise AskError(
                STATUS, f"{url} answers {answer.status_code}", _hint(answer.status_code), answer.status_code
            )  # fmt: skip
        length = answer.headers.get("Content-Length", "")
        if length.isdigit() and int(length[:20]) > limit:
            raise AskError(TOO_LARGE, f"{url} promises {int(length[:20]):,} bytes", "raise limits.response_size")
        body = bytearray()
        async for part in answer.aiter_raw():
            body += part
            if len(body) > limit:
                raise AskError(TOO_LARGE, f"{url} sends more than {limit:,} bytes", "raise limits.response_size")
        if answer.headers.get("Content-Encoding", "identity").lower() in ("gzip", "x-gzip"):
            try:
                return bytes(inflate(url, body, limit))
            except EvidenceError as error:
                raise AskError(TOO_LARGE, str(error), error.hint) from error
        return bytes(body)


def _next(answer: httpx2.Response) -> str:
    old = answer.request.url
    target = answer.headers.get("Location", "")
    try:
        new = old.join(target)
    except httpx2.InvalidURL:
        raise AskError(REDIRECT, f"{old} redirects to what is no URL", "set the path to where it leads") from None
    if (old.scheme, old.host, old.port) != (new.scheme, new.host, new.port):
        raise AskError(REDIRECT, f"{old} redirects to another host", "watch that one if it is right")
    return str(new)


def _hint(status: int) -> str:
    if status in (401, 403):
        return "set authorization or basic_auth"
    return "is net/http/pprof served there, at this path?" if status == 404 else ""


def secret(path: str) -> str:
    """The secret in a file of one line. AskError."""
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read(_MAX_SECRET).strip()
    except (OSError, UnicodeDecodeError):
        raise AskError(SECRET, f"cannot read {path}", "is it there, and readable?") from None
    if not text or not text.isprintable() or not text.isascii():
        raise AskError(SECRET, f"{path} holds no secret on one line", "put the token there, nothing else")
    return text


def _certificate(error: BaseException) -> str | None:
    at: BaseException | None = error
    for _ in range(6):
        if isinstance(at, ssl.SSLCertVerificationError):
            return at.verify_message
        if at is None:
            return None
        at = at.__cause__ or at.__context__
    return None


def _said(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
