import socket
import subprocess
import sys
import threading
import time

import pytest

from scenarios.control import Desk, ask
from scenarios.proxying import ProxyPlan, ProxyRun, link_of
from twin.errors import InputError, MissingEnvironmentError

HERE = ("127.0.0.1", 0)
pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def server():
    with socket.create_server(HERE) as listener:
        listener.settimeout(5.0)
        yield listener


@pytest.fixture
def running():
    """Start proxy runs in threads; they stop at the end."""
    started = []

    def start(plan):
        said = []
        run = ProxyRun(plan, lambda at_s, what: said.append((round(at_s, 1), what)))
        thread = threading.Thread(target=run.proxy.run, daemon=True)
        thread.start()
        started.append((run, thread))
        return run, said

    yield start
    for run, thread in started:
        run.proxy.stop()
        thread.join(5.0)


def plan(server, **figures):
    timeline = figures.pop("timeline", ())
    return ProxyPlan(HERE, server.getsockname(), {"path": "direct", **figures}, timeline=timeline)


def test_a_link_of_the_format_delays_real_bytes(running, server):
    """`round_trip` means on the wire what it means in a scenario."""
    run, _ = running(plan(server, round_trip="60 ms"))
    with socket.create_connection(run.at, timeout=5.0) as client:
        begun_s = time.monotonic()
        client.sendall(b"x")
        served, _ = server.accept()
        with served:
            assert served.recv(1) == b"x"
    assert time.monotonic() - begun_s >= 0.06


def test_the_timeline_acts_on_the_link(running, server):
    """Faults begin and end at their times, and say so."""
    _, said = running(plan(server, timeline=[{"at": "100 ms", "for": "100 ms", "fault": "partition"}]))
    time.sleep(0.5)
    assert said == [(0.1, "partition begins"), (0.2, "partition ends")]


def say_hello(at):
    """Begin a handshake of TLS, and wait for what comes."""
    with socket.create_connection(at, timeout=5.0) as client:
        client.sendall(b"\x16\x03\x01")
        client.recv(1)


@pytest.mark.parametrize("fault", ["dns_error", "certificate_expiry"])
def test_new_connections_are_refused(running, server, fault):
    """By name all of them, by certificate those that begin with a handshake of TLS."""
    run, _ = running(plan(server))
    run.proxy.call(lambda: run.begin({"fault": fault}))
    with pytest.raises(ConnectionResetError):
        say_hello(run.at)
    with pytest.raises(InputError, match=r"datagrams .--udp. have none"):
        ProxyRun(
            ProxyPlan(
                HERE, HERE, {"path": "direct"}, timeline=[{"fault": fault, "at": "1 s"}], is_datagrams=True
            ),
            print,
        )


def test_a_proxy_that_is_full_says_so(server):
    """With what to do; here because the limit of open files is low."""
    program = (
        "import resource, sys;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (210, 210));"
        "from windtunnel.__main__ import main; sys.exit(main())"
    )
    to = "{}:{}".format(*server.getsockname())
    command = [sys.executable, "-c", program, "proxy", "--to", to, "--for", "20 s"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        host, port = child.stderr.readline().split(" ")[0].rsplit(":", 1)
        clients = [socket.socket() for _ in range(8)]
        for client in clients:
            client.connect_ex((host, int(port)))
        said = child.stderr.readline()
        child.terminate()
        shown, _ = child.communicate(timeout=20.0)
    for client in clients:
        client.close()

    assert (
        "5 connections are open, as many as the open files allow; the next are reset: raise the limit" in said
    )
    assert "connections refused: 3; " in shown


def test_faults_come_and_go_by_order(running, server, tmp_path):
    """From another process, through a socket file."""
    run, said = running(plan(server))
    actions = {
        "begin": lambda what: run.begin({"fault": what}),
        "end": run.end,
        "status": lambda _: run.figures(),
    }
    desk = Desk(tmp_path / "desk", run.proxy.call, actions)
    try:
        assert ask(tmp_path / "desk", "begin", "partition") == "partition"
        assert ask(tmp_path / "desk", "end", "partition") is None
        with pytest.raises(InputError, match="no fault 'partition' was begun"):
            ask(tmp_path / "desk", "end", "partition")
        with pytest.raises(InputError, match="did you mean 'surge'"):
            ask(tmp_path / "desk", "begin", "surg")
        assert ask(tmp_path / "desk", "status")["connections"] == 0
    finally:
        desk.close()
    assert [what for _, what in said] == ["partition begins", "partition ends"]
    assert not (tmp_path / "desk").exists()


def test_the_socket_file_is_the_users_own(tmp_path):
    """Nobody else gives orders."""
    desk = Desk(tmp_path / "desk", lambda action: action(), {})
    try:
        assert (tmp_path / "desk").stat().st_mode & 0o077 == 0
        with pytest.raises(InputError, match="it exists already"):
            Desk(tmp_path / "desk", lambda action: action(), {})
    finally:
        desk.close()


def test_an_order_that_fails_does_not_end_the_run(tmp_path):
    """Whatever is wrong with it: whoever gave it hears of it."""
    desk = Desk(tmp_path / "desk", lambda action: action(), {"restart": lambda _: [].pop()})
    try:
        with pytest.raises(InputError, match="restart failed: IndexError"):
            ask(tmp_path / "desk", "restart")
    finally:
        desk.close()


@pytest.mark.parametrize(
    ("link", "timeline", "sentence"),
    [
        ({"path": "etherne"}, [], "did you mean 'ethernet'"),
        ({"path": "direct", "loss": "2"}, [], "write '2 %' if 2 % is meant"),
        ({"path": "direct"}, [{"at": "1 s", "fault": "crash"}], "only links here"),
        ({"path": "direct"}, [{"at": "1 s", "fault": "surge", "factor": 0.5}], "makes delays longer"),
        ({"path": "direct"}, [{"at": "soon", "fault": "surge"}], "fault 'surge', at"),
        ({"path": "direct"}, [{"at": "1 s", "fault": "netem"}], "'netem' does nothing without a figure"),
        ({"path": "direct"}, [{"at": "1 s", "fault": "hold", "factor": 2}], "fault 'hold' takes no 'factor'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(link, timeline, sentence):
    """The sentences are those of the scenario loader."""
    with pytest.raises(InputError, match=sentence):
        ProxyRun(ProxyPlan(HERE, ("127.0.0.1", 9), link, timeline=timeline), print)


def test_a_taken_port_is_one_sentence(server):
    """No traceback at two in the morning; the input was right, so it is the machine that lacks something."""
    with pytest.raises(MissingEnvironmentError, match="the port is taken"):
        ProxyRun(ProxyPlan(server.getsockname(), ("127.0.0.1", 9), {"path": "direct"}), print)


def test_wide_area_links_are_named_by_their_metros():
    """As in `windtunnel link show`."""
    assert link_of("wan:singapore-ashburn") == ({"path": "wan"}, ("singapore", "ashburn"))
    with pytest.raises(InputError, match="did you mean 'singapore'"):
        link_of("wan:singapor-ashburn")
