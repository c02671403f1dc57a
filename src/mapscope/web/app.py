"""The pages of the server: the report itself, its data, and one path for each question."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mapscope.errors import MapscopeError
from mapscope.report.page import html as page
from mapscope.report.rows import STATES
from mapscope.web.asking import Asking, TooSlowError
from mapscope.web.guard import METHODS, Guard
from mapscope.web.listing import CONFIDENCES, GENERATIONS, ORDERS, SORTS, Wanted
from mapscope.web.parameters import MAX_ROWS, BadRequestError, Parameters, address_of
from mapscope.web.questions import Questions

JSON = "application/json"
PACK = "application/octet-stream"
CONNECT = "'self'"
"""What the script of the page may ask: this server."""
SERVED = '<div id="mapscope-served" hidden></div>'
"""Where ``ServedSource`` of ui/src/served/source.ts sees that there is a server to ask."""
_MAX_OFFSET = 999_999_999_999


class App:
    """Every path, and what it answers."""

    def __init__(self, questions: Questions, asking: Asking) -> None:
        """``asking``: who waits for whom."""
        self._questions = questions
        self._asking = asking

    def starlette(self) -> Starlette:
        """The application, without its guard."""
        paths: dict[str, Callable[..., object]] = {
            "/": self.page,
            "/api/pack": self.pack,
            "/api/pack/map/{address}": self.map_pack,
            "/api/pack/object/{address}": self.address_pack,
            "/api/maps": self.maps,
            "/api/map/{address}": self.map,
            "/api/address/{address}": self.address,
            "/api/chains/{address}": self.chains,
            "/api/contents/{address}": self.contents,
            "/api/dominators": self.dominators,
            "/api/types": self.types,
            "/api/goroutines": self.goroutines,
        }
        if not self._questions.shows:
            del paths["/api/contents/{address}"]
            paths["/api/contents/{address}"] = self.no_contents
        routes = [Route(path, answer, methods=list(METHODS)) for path, answer in paths.items()]
        handlers = {MapscopeError: _refused, HTTPException: _missing, Exception: _bug}
        made = Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]  # each takes its own error
        made.router.redirect_slashes = False
        return made

    async def _answer(self, request: Request, question: Callable[[], bytes], media_type: str = JSON) -> Response:
        answer = await self._asking.ask(question, lambda: _gone(request))
        if answer is None:
            return Response(status_code=499)  # nobody reads it
        return Response(answer, media_type=media_type)

    async def page(self, request: Request) -> Response:
        """The markup, with script and styles; all else the script asks for."""
        Parameters(request.query_params.multi_items(), ())
        policy = f"{page.policy(CONNECT)}; frame-ancestors 'none'"
        markup = page.shell(self._questions.title, SERVED, CONNECT)
        return Response(markup, media_type="text/html", headers={"content-security-policy": policy})

    async def pack(self, request: Request) -> Response:
        """The data of the report."""
        Parameters(request.query_params.multi_items(), ())
        return Response(self._questions.page(), media_type=PACK)

    async def map_pack(self, request: Request) -> Response:
        """One map in full, as data of the page."""
        address = _address(request)
        return await self._answer(request, lambda: self._questions.map_pack(address), PACK)

    async def address_pack(self, request: Request) -> Response:
        """What lies at any address, as data of the page."""
        address = _address(request)
        return await self._answer(request, lambda: self._questions.address_pack(address), PACK)

    async def maps(self, request: Request) -> Response:
        """A page of the table of maps."""
        names = ("sort", "order", "search", "state", "generation", "confidence", "offset", "limit")
        query = Parameters(request.query_params.multi_items(), names)
        wanted = Wanted(
            sort=query.word("sort", tuple(SORTS), "waste"),
            order=query.word("order", ORDERS, "descending"),
            search=query.text("search"),
            state=query.word("state", STATES, ""),
            generation=query.word("generation", GENERATIONS, ""),
            confidence=query.word("confidence", CONFIDENCES, ""),
            offset=query.number("offset", 0, _MAX_OFFSET),
            limit=query.number("limit", 100, MAX_ROWS),
        )
        return await self._answer(request, lambda: self._questions.maps(wanted))

    async def map(self, request: Request) -> Response:
        """One map in full."""
        address = _address(request)
        return await self._answer(request, lambda: self._questions.map(address))

    async def address(self, request: Request) -> Response:
        """What lies at any address."""
        address = _address(request)
        return await self._answer(request, lambda: self._questions.address(address))

    async def chains(self, request: Request) -> Response:
        """Every way to an object."""
        address = _address(request)
        return await self._answer(request, lambda: self._questions.chains(address))

    async def contents(self, request: Request) -> Response:
        """A few contents of an object or map."""
        address = _address(request)
        return await self._answer(request, lambda: self._questions.contents(address))

    async def no_contents(self, request: Request) -> Response:
        """What stands in its place without --show-contents."""
        return refusal(404, "contents are not shown", "start the server with --show-contents: they may hold secrets")

    async def dominators(self, request: Request) -> Response:
        """The dominator tree below one node."""
        query = Parameters(request.query_params.multi_items(), ("node", "limit"))
        node, limit = query.number("node", 0, _MAX_OFFSET), query.number("limit", 50, MAX_ROWS)
        return await self._answer(request, lambda: self._questions.branch(node, limit))

    async def types(self, request: Request) -> Response:
        """Live objects by type."""
        query = Parameters(request.query_params.multi_items(), ("sort", "search", "offset", "limit"))
        sort, search = query.word("sort", ("bytes", "objects"), "bytes"), query.text("search")
        offset, limit = query.number("offset", 0, _MAX_OFFSET), query.number("limit", 100, MAX_ROWS)
        return await self._answer(request, lambda: self._questions.types(sort, search, offset, limit))

    async def goroutines(self, request: Request) -> Response:
        """Goroutines by stack."""
        query = Parameters(request.query_params.multi_items(), ("search", "offset", "limit"))
        search = query.text("search")
        offset, limit = query.number("offset", 0, _MAX_OFFSET), query.number("limit", 50, MAX_ROWS)
        return await self._answer(request, lambda: self._questions.goroutines(search, offset, limit))


def guarded(questions: Questions, token: str, port: int, asking: Asking | None = None) -> Guard:
    """The application of a server on ``port``, behind its guard."""
    return Guard(App(questions, asking or Asking()).starlette(), token, port)


def refusal(status: int, error: str, hint: str) -> Response:
    """A document in place of an answer."""
    return Response(msgspec.json.encode({"error": error, "hint": hint}), status, media_type=JSON)


def _address(request: Request) -> int:
    Parameters(request.query_params.multi_items(), ())
    return address_of(request.path_params["address"])


async def _gone(request: Request) -> None:
    """Returns when the asker has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _refused(request: Request, error: MapscopeError) -> Response:
    status = 503 if isinstance(error, TooSlowError) else 400 if isinstance(error, BadRequestError) else 404
    return refusal(status, str(error), error.hint)


async def _missing(request: Request, error: HTTPException) -> Response:
    return refusal(error.status_code, "there is nothing here", "use the links of the page")


async def _bug(request: Request, error: Exception) -> Response:
    """An error that nobody expected. Its own words may hold contents of the heap: neither page nor stderr has them."""
    place, trace = "", error.__traceback__
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    words = f"this is a bug of ours: {type(error).__name__} at {place}"
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"mapscope: {words}\n")
    return refusal(500, words, "tell us the line; the other parts of the page go on working")
