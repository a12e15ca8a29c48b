"""Who may talk to the server."""

import asyncio

import pytest

from ui.guard import COOKIE, Guard

HOST = [(b"host", b"localhost:8501")]


def ask(guard, path="/", *, kind="http", method="GET", headers=(), body=b"", host=HOST):
    """The messages that the guard, or the application behind it, answers with."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": kind, "path": path, "method": method, "headers": [*host, *headers]}
    asyncio.run(guard(scope, receive, send))
    return sent


async def application(_scope, _receive, send):
    await send({"type": "passed"})


def guarded(password=""):
    return Guard(application, ("localhost", "127.0.0.1"), password)


def passed(messages):
    return messages == [{"type": "passed"}]


def test_own_page_passes():
    """Its name is right, and its origin is itself."""
    assert passed(ask(guarded(), headers=[(b"origin", b"http://localhost:8501")]))


@pytest.mark.parametrize(
    "host", [b"evil.example", b"localhost.evil.example", b"", b"[::1", b"127.0.0.1@evil"]
)
def test_another_name_is_refused(host):
    """A name that somebody points at the loopback address is not ours."""
    assert ask(guarded(), host=[(b"host", host)])[0]["status"] == 421


@pytest.mark.parametrize("origin", [b"http://evil.example", b"null", b"http://localhost:1", b"file://"])
def test_another_origin_is_refused(origin):
    """On plain requests and on WebSockets."""
    headers = [(b"origin", origin)]

    assert ask(guarded(), headers=headers)[0]["status"] == 403
    assert ask(guarded(), kind="websocket", headers=headers)[0]["type"] == "websocket.close"


def test_a_websocket_without_an_origin_is_refused():
    """Every browser says one."""
    assert ask(guarded(), kind="websocket")[0]["type"] == "websocket.close"


def test_a_picture_on_another_page_is_refused():
    """Fetch metadata tell where a request comes from that has no origin."""
    headers = [(b"sec-fetch-site", b"cross-site"), (b"sec-fetch-mode", b"no-cors")]

    assert ask(guarded(), headers=headers)[0]["status"] == 403


def test_a_password_is_asked_for_once():
    """The cookie of a right answer opens everything; nothing is open before."""
    guard = guarded("open sesame")
    assert ask(guard)[0]["status"] == 401
    assert ask(guard, kind="websocket", headers=[(b"origin", b"http://localhost:8501")])[0]["type"] == (
        "websocket.close"
    )

    answer = ask(guard, "/wt/login", method="POST", body=b"password=open+sesame")

    assert answer[0]["status"] == 303
    cookie = dict(answer[0]["headers"])[b"set-cookie"]
    assert b"HttpOnly" in cookie
    assert b"SameSite=Strict" in cookie
    assert passed(ask(guard, headers=[(b"cookie", cookie.split(b";")[0])]))


def test_a_wrong_password_opens_nothing_and_slows_the_next():
    """A password is not found by trying."""
    guard = guarded("open sesame")

    assert ask(guard, "/wt/login", method="POST", body=b"password=wrong")[0]["status"] == 401
    assert ask(guard, "/wt/login", method="POST", body=b"password=open+sesame")[0]["status"] == 401


@pytest.mark.parametrize("value", ["", "1", "99999999999.abc", "x.y", "99999999999."])
def test_a_made_up_cookie_opens_nothing(value):
    """It lacks the seal."""
    headers = [(b"cookie", f"{COOKIE}={value}".encode())]

    assert ask(guarded("open sesame"), headers=headers)[0]["status"] == 401
