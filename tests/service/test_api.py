"""The HTTP API of a real service: tokens and roles, limits, errors, and every resource once."""

import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

pytestmark = pytest.mark.live

DEEP = b"[" * 900 + b"]" * 900


@pytest.fixture(scope="module")
def service(shared_service):
    """One for all."""
    return shared_service


@pytest.fixture
def admin(service):
    """A client with the first token."""
    return service.http


@pytest.fixture(scope="module")
def as_role(service):
    """A function that gives a client with a token of a role."""
    made = {}

    def client(role, **options):
        key = (role, *options.values())
        if key not in made:
            made[key] = service.token(role, name=f"{role}-{len(made)}", **options)
        return made[key]

    yield client
    for each in made.values():
        each.close()


def address(service):
    parts = urlsplit(service.about["url"])
    return parts.hostname, parts.port


def asked(service, request):
    """The status of a request as it stands on the wire."""
    with socket.create_connection(address(service), timeout=15) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, json.loads(answer.read() or b"{}")


# who may ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/v1/things", "/things/gate-1/shadow", "/metrics", "/v1/audit", "/v1/rules"]
)
def test_without_a_token_nothing_is_told(service, path):
    """Only health is for everybody, and says nothing about things."""
    answer = httpx.get(f"{service.about['url']}{path}")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert set(answer.json()) == {"code", "message", "advice"}


def test_a_viewer_reads_an_operator_acts_and_an_admin_changes_the_registry(as_role):
    """Each may do what those before it may."""
    requests = [
        ("GET", "/v1/things", None),
        ("POST", "/things/lamp-1/shadow", {"state": {"desired": {"on": True}}}),
        ("POST", "/v1/things", {"name": "lamp-1"}),
    ]
    allowed = {
        role: [as_role(role).request(verb, path, json=body).status_code for verb, path, body in requests]
        for role in ("viewer", "operator", "admin")
    }

    assert allowed == {"viewer": [200, 403, 403], "operator": [200, 200, 403], "admin": [200, 200, 201]}


def test_a_device_has_its_own_shadow_and_twin_only(as_role):
    """With a token instead of a certificate."""
    device = as_role("device", thing="lamp-2")

    own = device.post("/things/lamp-2/shadow", json={"state": {"reported": {"on": True}}})
    statuses = [
        device.get(path).status_code
        for path in (
            "/v1/things/lamp-2",
            "/things/lamp-1/shadow",
            "/v1/things/lamp-1",
            "/v1/things",
            "/v1/audit",
        )
    ]

    assert own.status_code == 200
    assert statuses == [200, 403, 403, 403, 403]


def test_a_revoked_token_holds_no_longer(service):
    """At once, without a restart."""
    from twin.service.tokens import revoke_token

    client = service.token("viewer", name="guest")
    before = client.get("/v1/things").status_code
    revoke_token(service.folder / "tokens.json", "guest")
    after = client.get("/v1/things").status_code
    client.close()

    assert (before, after) == (200, 401)


def test_what_was_changed_is_in_the_audit_log_with_who_changed_it(admin, as_role):
    """The name of the token, not the token."""
    as_role("operator").post("/things/lamp-3/shadow", json={"state": {"desired": {"on": True}}})

    newest = admin.get("/v1/audit", params={"limit": 1}).json()["entries"][0]

    assert newest["who"].startswith("operator-")
    assert (newest["verb"], newest["what"]) == ("update", "shadow lamp-3")


# limits -------------------------------------------------------------------------------------------------


def test_a_body_that_is_too_long_is_refused_before_it_is_read(service):
    """By its length, and if it comes in parts by what came."""
    head = b"POST /v1/things HTTP/1.1\r\nHost: localhost\r\n"
    long = asked(service, head + b"Content-Length: 9999999\r\n\r\n")
    part = b"40000\r\n" + b"x" * 0x40000 + b"\r\n"
    chunked = asked(service, head + b"Transfer-Encoding: chunked\r\n\r\n" + 5 * part)

    assert long[0] == chunked[0] == 413


def test_a_page_elsewhere_cannot_use_the_service(service):
    """Neither by its origin, nor by a name that was made to point here."""
    of_page = asked(
        service, b"GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n"
    )
    of_name = asked(service, b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    of_nobody = asked(service, b"GET /health HTTP/1.0\r\n\r\n")

    assert (of_page[0], of_name[0], of_nobody[0]) == (403, 421, 421)


@pytest.mark.slow
def test_a_request_that_dawdles_is_ended(service):
    """After ten seconds."""
    with socket.create_connection(address(service), timeout=20) as connection:
        connection.sendall(b"POST /v1/things HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")

        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_a_shadow_is_changed_only_if_it_is_as_it_was_read(admin):
    """By its ETag, which is its version; a condition that does not hold changes nothing."""
    path, wish = "/things/lamp-etag/shadow", {"state": {"desired": {"on": True}}}

    def asked(method, **headers):
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return admin.request(method, path, headers=sent, json=wish if method == "POST" else None).status_code

    assert asked("POST", if_match="*") == 412
    assert asked("POST", if_none_match="*") == 200
    assert asked("POST", if_none_match="*") == 412
    tag = admin.get(path).headers["etag"]
    assert tag == '"1"'
    assert asked("POST", if_match='"7"') == asked("DELETE", if_match='"7"') == 412
    assert asked("POST", if_match=f'"7", {tag}') == 200
    told = admin.post(path, headers={"If-Match": tag}, json=wish)
    assert (told.status_code, told.json()["message"]) == (
        412, 'If-Match "1" does not hold: the shadow is at version 2'
    )  # fmt: skip
    assert asked("DELETE", if_match='"2"') == 200


def test_more_than_ten_shadow_requests_in_flight_are_too_many(as_role):
    """Of one token."""
    client = as_role("operator")
    document = {"state": {"desired": {"x": "y" * 4000}}}
    start = threading.Barrier(40)

    def ask(number):
        start.wait(10)
        return client.post(f"/things/many-{number}/shadow", json=document).status_code

    statuses = set()
    for _ in range(10):  # how many overlap is up to the machine
        with ThreadPoolExecutor(40) as pool:
            statuses |= set(pool.map(ask, range(40)))
        if 429 in statuses:
            break

    assert statuses == {200, 429}


def test_wrong_tokens_are_counted_and_their_sender_has_to_wait(tmp_path):
    """Ten a minute; a right one of the same address waits too."""
    from twin.service.tokens import Keyring, new_token

    now = [100.0]
    new_token(tmp_path / "tokens", "a", "viewer", 0.0)
    keyring = Keyring(tmp_path / "tokens", lambda: now[0])
    for _ in range(9):
        keyring.failed("10.0.0.1")
    before = keyring.must_wait("10.0.0.1")
    keyring.failed("10.0.0.1")

    assert (before, keyring.must_wait("10.0.0.1"), keyring.must_wait("10.0.0.2")) == (False, True, False)
    now[0] += 61.0
    assert not keyring.must_wait("10.0.0.1")


def test_the_file_of_tokens_holds_hashes_and_is_its_owners_alone(service):
    """Whoever reads it cannot call."""
    path = service.folder / "tokens.json"
    secret = (service.folder / "admin.token").read_text().strip()

    assert path.stat().st_mode & 0o077 == 0
    assert secret not in path.read_text()
    assert not any(secret in line for line in service.said)


# what is answered ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "/things/nobody/shadow", None, 404),
        ("POST", "/things/lamp-9/shadow", b"{", 400),
        ("POST", "/things/lamp-9/shadow", b'{"state": {"desired": {"x": "\xff"}}}', 415),
        (
            "POST",
            "/things/lamp-9/shadow",
            json.dumps({"state": {"desired": {"x": "y" * 9000}}}).encode(),
            413,
        ),
        ("POST", "/things/b%20d/shadow", b'{"state": {}}', 400),
        ("GET", "/things/lamp-9/shadow?name=", None, 400),
        ("POST", "/v1/things", b'{"name": "a b"}', 400),
        ("POST", "/v1/things", b'{"name": "a", "colour": "red"}', 400),
        ("GET", "/v1/things?query=colour:red", None, 400),
        ("GET", "/v1/things/nobody", None, 404),
        ("GET", "/v1/things?limit=0", None, 400),
        ("PUT", "/v1/rules/x", b"nonsense", 400),
        ("POST", "/v1/alarms/lamp-1/fire/acknowledge", None, 404),
        ("GET", "/v1/commands/c1-1", None, 404),
        ("POST", "/v1/jobs", b"{}", 400),
        ("PATCH", "/health", None, 405),
        ("GET", "/docs", None, 404),
        ("POST", "/v1/certificates", b'{"thing": "nobody"}', 404),
        ("POST", "/v1/things", b'{"name": "far", "position": [1e999, 0]}', 400),
        ("POST", "/v1/things", b'{"name": "far", "position": [NaN, 0]}', 400),
        ("POST", "/v1/things", b'{"name": "far", "attributes": {"half": "\\ud800"}}', 400),
        ("POST", "/v1/things", b'{"name": "far", "due_s": 5}', 400),
        ("POST", "/v1/things/pump-1/commands", b'{"name": "start", "args": {"speed": Infinity}}', 400),
        ("POST", "/v1/things/pump-1/commands", b"[" * 100_000, 400),
        ("POST", "/v1/things/pump-1/commands", b'{"name": "a", "args": {"a": %s}}' % DEEP, 400),
        ("POST", "/v1/jobs", b'{"job_id": "a", "targets": ["a"], "document": {"a": %s}}' % DEEP, 400),
        ("GET", "/v1/audit?before=99999999999999999999999", None, 400),
        ("GET", "/v1/things/pump-1/history?after=99999999999999999999999", None, 400),
        ("GET", "/v1/things/pump-1/history?since_s=nan", None, 400),
        ("POST", "/v1/branches", b'{"name": "late", "at": "99999999999999999999999"}', 400),
        ("POST", "/v1/branches", b'{"name": "late", "at": "infs"}', 400),
    ],
)
def test_what_is_wrong_is_told_with_a_code_a_sentence_and_advice(admin, method, path, body, code):
    """The same form everywhere, and never a traceback."""
    answer = admin.request(method, path, content=body)
    told = answer.json()

    assert answer.status_code == code
    assert told["code"] == code
    assert told["message"]
    assert "Traceback" not in answer.text


def test_named_shadows_are_listed_in_pages_without_the_classic_one(admin):
    """As `ListNamedShadowsForThing` does."""
    for name in (None, "c", "a", "b"):
        params = {"name": name} if name else {}
        admin.post("/things/lister/shadow", params=params, json={"state": {"desired": {"x": 1}}})
    path = "/api/things/shadow/ListNamedShadowsForThing/lister"

    first = admin.get(path, params={"pageSize": 2}).json()
    second = admin.get(path, params={"pageSize": 2, "nextToken": first["nextToken"]}).json()

    assert first["results"] == ["a", "b"]
    assert second["results"] == ["c"]
    assert "nextToken" not in second


def test_a_thing_is_registered_found_changed_and_removed(admin):
    """With its version, so that nobody overwrites what he has not seen."""
    admin.post("/v1/things", json={"name": "pump-1", "site": "home", "tags": ["water"]}).raise_for_status()
    found = admin.get("/v1/things", params={"query": "tag:water"}).json()["things"]
    changed = admin.patch("/v1/things/pump-1", params={"version": 1}, json={"attributes": {"maker": "acme"}})
    late = admin.patch("/v1/things/pump-1", params={"version": 1}, json={"bay": "B1"})
    admin.post("/v1/things", json={"name": "tank-1"}).raise_for_status()
    admin.post("/v1/certificates", json={"thing": "pump-1"}).raise_for_status()
    admin.put("/v1/graph/pump-1/feeds/tank-1").raise_for_status()
    graph = admin.get("/v1/graph").json()
    history = admin.get("/v1/things/pump-1/history", params={"kind": "thing"}).json()["entries"]
    admin.delete("/v1/things/pump-1").raise_for_status()

    assert [each["name"] for each in found] == ["pump-1"]
    assert (changed.json()["version"], late.status_code) == (2, 409)
    assert {"source": "pump-1", "target": "tank-1", "kind": "feeds"} in graph["links"]
    assert [entry["record"].get("version", 1) for entry in history] == [1, 2]
    assert admin.get("/v1/things/pump-1").status_code == 404
    admin.post("/v1/things", json={"name": "pump-1", "site": "home"}).raise_for_status()
    certificates = admin.get("/v1/certificates", params={"thing": "pump-1"}).json()["certificates"]
    assert [each["state"] for each in certificates] == ["REVOKED"], "another pump of that name"
    admin.delete("/v1/things/pump-1").raise_for_status()


def test_a_command_is_given_and_followed(admin):
    """A device that nobody connected does not answer, so it stays open."""
    given = admin.post(
        "/v1/things/pump-2/commands", json={"name": "start", "args": {"speed": 3}, "key": "k1"}
    )
    again = admin.post(
        "/v1/things/pump-2/commands", json={"name": "start", "args": {"speed": 3}, "key": "k1"}
    )
    read = admin.get(f"/v1/commands/{given.json()['id']}").json()

    assert given.status_code == 202
    assert again.json()["id"] == given.json()["id"]
    assert (read["stage"], read["status"]) == ("sent", 202)


def test_a_rule_that_is_put_in_fires_and_its_alarm_is_acknowledged_and_cleared(admin, service, eventually):
    """From a device's event to people."""
    rule = "RULE smoke_seen SELECT * FROM 'smoke_detector/+/event/smoke' THEN ALARM CRITICAL 'fire' 'smoke'"
    put = admin.put("/v1/rules/smoke_seen", content=rule)
    assert put.status_code == 200, put.text
    admin.post("/v1/things", json={"name": "smoke-1", "type": "smoke_detector", "site": "home"})
    with service.device("smoke-1", kind="smoke_detector") as device:
        device.publish("site/home/smoke_detector/smoke-1/event/smoke", b'{"ts": 1}')
        found = eventually(lambda: admin.get("/v1/alarms", params={"active": True}).json()["alarms"])
    seen = admin.post("/v1/alarms/smoke-1/fire/acknowledge", json={"note": "on my way"}).json()
    over = admin.post("/v1/alarms/smoke-1/fire/clear").json()
    twice = admin.post("/v1/alarms/smoke-1/fire/clear")

    assert (found[0]["thing"], found[0]["severity"]) == ("smoke-1", "critical")
    assert seen["acknowledged_by"] == "admin"
    assert over["state"] == "cleared, acknowledged"
    assert twice.status_code == 404


def test_metrics_are_in_the_format_of_prometheus(admin):
    """Every line is a comment, or a name with labels and a number."""
    lines = admin.get("/metrics").text.splitlines()

    assert "# TYPE windtunnel_broker_connected gauge" in lines
    assert "windtunnel_broker_connected 1" in lines
    for line in lines:
        assert line.startswith("# TYPE ") or float(line.rpartition(" ")[2]) >= 0


def test_the_api_describes_itself(service):
    """For generators of clients; nothing is loaded from elsewhere."""
    document = httpx.get(f"{service.about['url']}/openapi.json").json()

    assert document["openapi"].startswith("3.")
    assert "/things/{thing}/shadow" in document["paths"]
    assert "/v1/rules/{rule}" in document["paths"]


def test_a_branch_goes_its_own_way_and_nothing_real_hears_of_it(admin):
    """What if the door were opened: told by the branch, and live is as it was."""
    shadow = "$aws/things/door-1/shadow"
    admin.post("/things/door-1/shadow", json={"state": {"reported": {"open": False}}})
    admin.post("/v1/branches", json={"name": "what-if"}).raise_for_status()
    happenings = [
        {"topic": f"{shadow}/update", "payload": {"state": {"reported": {"open": True}}}, "after_s": 60}
    ]
    told = admin.post("/v1/branches/what-if/messages", json=happenings).json()
    inside = admin.get("/v1/branches/what-if/things/door-1").json()
    differences = admin.get("/v1/branches/what-if/diff").json()["differences"]
    live = admin.get("/v1/things/door-1").json()
    removed = admin.delete("/v1/branches/what-if")

    assert [each["topic"] for each in told["published"]] == [
        f"{shadow}/update/{e}" for e in ("accepted", "documents")
    ]
    assert (inside["state"], inside["shadow"]["state"]["reported"]["open"]) == ("branch", True)
    assert live["shadow"]["state"]["reported"]["open"] is False
    assert ("door-1", "reported.open", True, False) in [
        (each["thing"], each["path"], each["branch"], each["live"]) for each in differences
    ]
    assert removed.is_success


def test_a_branch_begins_at_an_earlier_moment_too(admin):
    """At a sequence of the journal."""
    admin.post("/things/door-2/shadow", json={"state": {"reported": {"n": 1}}})
    entries = admin.get("/v1/things/door-2/history", params={"kind": "shadow"}).json()["entries"]
    admin.post("/things/door-2/shadow", json={"state": {"reported": {"n": 2}}})
    at = admin.get("/v1/things/door-2/history", params={"newest_first": True, "limit": 1}).json()["entries"][
        0
    ]
    earlier = {"name": "earlier", "at": str(at["sequence"] - 1)}
    admin.post("/v1/branches", json=earlier).raise_for_status()
    inside = admin.get("/v1/branches/earlier/things/door-2").json()
    admin.delete("/v1/branches/earlier")

    assert entries[0]["record"]["state"] == {"reported": {"n": 1}}
    assert inside["shadow"]["version"] in (1, 2)
    assert admin.post("/v1/branches", json={"name": "x", "at": "yesterday"}).status_code == 400


def test_a_branch_gives_out_no_certificate_that_holds(admin):
    """Its authority is a simulated one."""
    admin.post("/v1/branches", json={"name": "claims"}).raise_for_status()
    happenings = [
        {"topic": "$aws/certificates/create-from-csr/json", "payload": {"certificateSigningRequest": "x"}}
    ]
    told = admin.post("/v1/branches/claims/messages", json=happenings).json()["published"]
    admin.delete("/v1/branches/claims")

    assert "BEGIN SIMULATED CERTIFICATE" in told[0]["payload"]
