"""Every broker that can be installed here goes through the same checks, and what it does not do is known."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest
from live_servers import BROKERS, is_listening

from twin.errors import MissingEnvironmentError
from twin.live.conformance.bench import CHECKS, Bench, Subject
from twin.live.conformance.checking import run_checks
from twin.live.conformance.verdicts import BOTH
from twin.live.endpoint import endpoint
from twin.service.subjects import given, subject

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

KNOWN = tomllib.loads(Path(__file__).parents[2].joinpath("docs/brokers.toml").read_text("utf-8"))
VERDICTS = ("failed", "not supported")


def held(name, subject):
    """The checks of a broker, which does as is written; what differs is tried again by itself.

    On a busy machine one of a hundred may take too long.
    """
    checked = run_checks(subject)
    found = differences(name, checked)
    if found:
        again = run_checks(subject, only={each.split()[1].rstrip(":") for each in found})
        still = {each.partition(",")[0] for each in differences(name, again)}
        found = [each for each in found if each.partition(",")[0] in still]
    assert found == []
    return checked


def differences(name, checked):
    """What a broker does otherwise than is written, with what happened."""
    found = []
    tried = {each.check for each in checked.findings}
    spoken = KNOWN[name].get("speaks", BOTH)
    for version in set(BOTH) - set(spoken):
        others = {each.verdict for each in checked.findings if each.version == version}
        found += [f"{version} all: spoken"] if others - {"not supported"} else []
    for version in spoken:
        known = KNOWN[name].get(version, {})
        varies = set(known.get("varies", []))
        for verdict in VERDICTS:
            written = set(known.get(verdict.replace(" ", "_"), [])) - varies
            seen = {each.check: each.detail for each in checked.of(verdict, version)}
            better = sorted((written - set(seen)) & tried)
            found += [f"{version} {each}: {verdict} no more" for each in better]
            found += [
                f"{version} {each}: {verdict}, {seen[each]}" for each in sorted(set(seen) - written - varies)
            ]
    return found


@pytest.mark.parametrize("name", ["mosquitto", "embedded"])
def test_what_a_broker_of_ours_does_not_do_is_known(name):
    """As docs/brokers.toml says, no more and no less; every way in is tried."""
    with subject(name) as found:
        checked = held(name, found)

    assert checked.of("not tried") == []
    assert checked.took_s < 30.0


@pytest.mark.parametrize("name", ["aedes", "nats", pytest.param("rabbitmq", marks=pytest.mark.slow)])
def test_what_brokers_of_other_makers_do_not_do_is_known(name, tmp_path):
    """The same; and when they are stopped nobody listens any more."""
    with BROKERS[name](tmp_path, KNOWN[name]["install"]) as found:
        checked = held(name, found)

    assert checked.of("not tried") == []
    assert not any(is_listening(endpoint) for endpoint in found.doors.values())


@pytest.mark.slow
def test_a_broker_that_does_nothing_fails_every_check_in_time():
    """It lets everybody in, and never says another word: no check passes by itself."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
        kept = []

        def let_in():
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                kept.append(client)
                threading.Thread(target=answer, args=(client,), daemon=True).start()

        def answer(client):
            try:
                while data := client.recv(4096):
                    if data[0] == 0x10:
                        client.sendall(b"\x20\x02\x00\x00")
            except OSError:
                pass

        threading.Thread(target=let_in, daemon=True).start()
        url = f"mqtt://127.0.0.1:{server.getsockname()[1]}"
        checked = run_checks(Subject("mute", {"plain": endpoint(url)}), ("3.1.1",), is_quick=True)
        for each in kept:
            each.close()

    passed = {each.check for each in checked.of("passed")}
    assert passed == {"connect", "connect-first"}
    assert checked.took_s < 60.0


def test_every_check_says_what_the_standard_says_and_where():
    """A name of its own, a clause, a sentence."""
    names = [check.name for check in CHECKS]

    assert len(names) == len(set(names))
    for version, least in (("3.1.1", 22), ("5", 32)):
        assert sum(version in check.versions for check in CHECKS) >= least
    for check in CHECKS:
        assert check.says
        assert check.clause[0].isdigit()


def test_nothing_is_left_in_a_broker():
    """No retained message and no session: every client that was made is gone."""
    with subject("mosquitto") as found:
        run_checks(found, is_quick=True)
        bench = Bench(found, "3.1.1", "after")
        assert bench.watcher("windtunnel-check/#").is_quiet(0.5)
        [count] = bench.watcher("$SYS/broker/clients/disconnected", "n", 0).messages(1, within_s=12.0)
        bench.tidy()

    assert count.payload == b"0"


def test_no_broker_there_is_one_sentence():
    """And no traceback."""
    with pytest.raises(
        MissingEnvironmentError, match=r"no broker at mqtt://127\.0\.0\.1:9: connection refused"
    ):
        run_checks(given(endpoint("mqtt://127.0.0.1:9")))


def run(*arguments):
    command = [sys.executable, "-m", "windtunnel", "broker", "check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_says_a_line_a_check_and_its_exit_code_whether_one_failed(mosquitto_port):
    """0 all passed, 1 some failed, 4 not there, 2 not understood."""
    url = f"mqtt://127.0.0.1:{mosquitto_port}"
    good, bad = run(url, "--version", "3.1.1", "--quick"), run("embedded", "--quick", "--json")

    assert good.returncode == 0, good.stdout
    assert "  ✓ qos-1 " in good.stdout
    assert "not tried: needs a user name and a password" in good.stdout
    assert bad.returncode == 1
    row = json.loads(bad.stdout)["row"]
    assert "qos-lower" in row["checks"]["3.1.1"]["failed"]
    assert run("mqtt://127.0.0.1:9").returncode == 4
    assert run("http://broker").returncode == 2
