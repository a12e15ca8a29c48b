"""How results and errors become responses: JSON, and `{code, message, advice}` for what went wrong."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec
from fastapi import APIRouter, Body, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from twin.errors import InputError, WindtunnelError
from twin.service.service import ReadOnlyError, TwinService
from twin.service.writer import BusyError
from twin.state.journal import StoreError
from twin.state.nesting import DEEPEST, is_deep
from twin.state.records import Record
from twin.state.shadow import RejectedError

KEPT_S: Final = 20.0
"""A change that is not kept by then is answered with 504; it may still be kept."""

ADVICE: Final[Mapping[int, str]] = {
    400: "correct the request; /openapi.json says what is expected",
    401: "send the header Authorization: Bearer TOKEN; make a token: windtunnel token new --role viewer",
    403: "use a token with a role that may do this",
    404: "look it up first: GET /v1/things",
    405: "use another method; /openapi.json lists them",
    408: "send the request faster",
    409: "read it again, then change what is there now",
    412: "read it again, and decide anew",
    413: "send less at once",
    415: "send UTF-8",
    421: "use the address that windtunnel serve printed, or name this one with --allowed-host",
    429: "wait a moment, then try again",
    503: "try again in a while; /health tells when",
    504: "read whether it was done before trying again",
}
AWS_NAMES: Final[Mapping[int, str]] = {
    400: "InvalidRequestException",
    401: "UnauthorizedException",
    404: "ResourceNotFoundException",
    405: "MethodNotAllowedException",
    409: "ConflictException",
    413: "RequestEntityTooLargeException",
    415: "UnsupportedDocumentEncodingException",
    429: "ThrottlingException",
    500: "InternalFailureException",
    503: "ServiceUnavailableException",
}

T = TypeVar("T")
R = TypeVar("R", bound=Record)
Document: TypeAlias = Annotated[dict[str, Any], Body()]
LAST_SEQUENCE: Final = 2**63 - 1
Sequence: TypeAlias = Annotated[int | None, Query(ge=0, le=LAST_SEQUENCE, description="of the journal")]


class ApiError(WindtunnelError):
    """Something that is answered with this code."""

    def __init__(self, code: int, message: str, advice: str = "", **more: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.advice, self.more = code, message, advice, more


class _StrictRequest(Request):
    """A request whose body is JSON to the letter: Python would also read NaN, 1e999 and half a character,
    which no record can be written with and read again.
    """

    async def json(self) -> Any:
        try:
            body = msgspec.json.decode(await self.body())
        except (ValueError, RecursionError) as error:
            raise ApiError(400, f"the body is no JSON: {error}") from None
        if is_deep(body):
            raise ApiError(400, f"the body is nested deeper than {DEEPEST} levels")
        return body


class _StrictRoute(APIRoute):
    """A route that reads bodies strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strict


def routes(prefix: str = "", tag: str = "") -> APIRouter:
    """A router for some routes; those of a part of it have neither prefix nor tag."""
    return APIRouter(prefix=prefix, tags=[tag] if tag else None, route_class=_StrictRoute)


class Json(Response):
    """A response whose content msgspec writes, records included; what is infinite is null."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes."""
        return msgspec.json.encode(plain(content))


def plain(content: Any) -> Any:
    """The content as JSON types; a time that never comes is left out of records and null elsewhere."""
    if isinstance(content, msgspec.Struct):
        return {name: plain(getattr(content, name)) for name in content.__struct_fields__ if name != "due_s"}
    if isinstance(content, tuple) and hasattr(content, "_asdict"):
        return plain(content._asdict())
    if isinstance(content, Mapping):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple | set | frozenset):
        return [plain(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


async def kept(future: Future[T]) -> T:
    """The result once it is kept."""
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), KEPT_S)
    except TimeoutError:
        raise ApiError(504, f"it was not kept within {KEPT_S:g} s") from None


def problem(code: int, message: str, advice: str = "", **more: Any) -> Response:
    """The response for what went wrong."""
    content = {"code": code, "message": message, "advice": advice or ADVICE.get(code, ""), **more}
    headers = {"x-amzn-ErrorType": AWS_NAMES.get(code, "InternalFailureException")}
    if code in (429, 503):
        headers["Retry-After"] = "1"
    if code == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Json(content, code, headers)


def install(app: FastAPI, service: TwinService) -> None:
    """Answer every error in the same form."""

    def answer(code: int, error: Exception, **more: Any) -> Response:
        return problem(code, str(error), **more)

    async def known(_: Request, error: Exception) -> Response:
        match error:
            case ApiError(code=code, message=message, advice=advice, more=more):
                return problem(code, message, advice, **more)
            case RejectedError():
                return problem(error.code, error.message, **_token(error))
            case ReadOnlyError():
                return answer(503, error, state="read_only")
            case BusyError() | StoreError():
                return answer(503, error)
            case InputError():
                return answer(int(getattr(error, "code", 400)), error)
            case HTTPException(status_code=code, detail=detail):
                return problem(code, str(detail))
            case RequestValidationError():
                return problem(400, "; ".join(_complaint(each) for each in error.errors()))
        service.tell(f"a request failed: {type(error).__name__}: {error}")
        return problem(500, "the request failed; what happened stands in the log of the service")

    for kind in (WindtunnelError, RejectedError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, known)


def _token(error: RejectedError) -> dict[str, Any]:
    return {} if error.token is None else {"clientToken": error.token}


def _complaint(error: Mapping[str, Any]) -> str:
    place = ".".join(str(each) for each in error["loc"][1:]) or str(error["loc"][0])
    return f"{place}: {error['msg']}"


def read_record(document: dict[str, Any], form: type[R]) -> R:
    """The document as a record; raises ApiError 400 for what does not fit, an unknown field among it."""
    fields = [name for name in form.__struct_fields__ if name != "due_s"]
    if unknown := set(document) - set(fields):
        raise ApiError(400, f"there is no field {min(unknown)!r}; there are {', '.join(fields)}")
    try:
        return msgspec.convert(document, form)
    except msgspec.ValidationError as error:
        raise ApiError(400, str(error)) from None
