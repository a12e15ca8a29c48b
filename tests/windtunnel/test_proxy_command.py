import json
import signal
import socket
import subprocess
import sys
import threading

import pytest

pytestmark = pytest.mark.timeout(60)


def test_a_proxy_runs_until_ctrl_c_and_says_what_it_carried():
    """The first line names the address; the last is what was carried."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = subprocess.Popen(
            [sys.executable, "-m", "windtunnel", "proxy", "--to", f"127.0.0.1:{port}", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        guard = threading.Timer(30.0, program.kill)
        guard.start()
        try:
            at = program.stderr.readline().split()[0].rpartition(":")[2]
            with socket.create_connection(("127.0.0.1", int(at)), timeout=5.0) as client:
                client.sendall(b"hello")
                served, _ = server.accept()
                with served:
                    assert served.recv(5) == b"hello"
            program.send_signal(signal.SIGINT)
            out, _ = program.communicate(timeout=10.0)
        finally:
            guard.cancel()
            program.kill()
    assert program.returncode == 0
    assert json.loads(out)["bytes"] == 5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--to", "nowhere"], "expected HOST:PORT"),
        (["--to", "127.0.0.1:9", "--fault", "{at: 1 s}"], "is no timeline entry"),
        (["--to", "127.0.0.1:9", "--link", "wan:singapor-ashburn"], "did you mean 'singapore'?"),
    ],
)
def test_bad_options_are_one_sentence(arguments, sentence):
    """Exit code 2, nothing started."""
    done = subprocess.run(
        [sys.executable, "-m", "windtunnel", "proxy", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert sentence in done.stderr
