"""Commands as processes of their own that need not import everything again.

A keeper imports what commands use, and forks for each: own folder, environment, exit code and output, as if
started anew. Not for tests of the start itself, nor of signals, nor for `windtunnel load`, which patches what
is imported after it: those start `python -m windtunnel`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

HOME = Path(__file__).parents[1]
FIRST = (
    *("windtunnel.cli", "windtunnel.commands", "windtunnel.progress", "scenarios.rehearsal"),
    *("scenarios.archive", "scenarios.explanations", "scenarios.judging.comparing", "scenarios.shipped"),
)


class Keeper:
    """The process that forks; `with` starts and ends it."""

    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(HOME)},
        )
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def run(self, arguments, folder, environment):
        """What `subprocess.run` returns for `windtunnel ARGUMENTS` in this folder."""
        with tempfile.TemporaryDirectory() as between:
            said, complained = Path(between, "out"), Path(between, "err")
            order = [list(arguments), str(folder), dict(environment), str(said), str(complained)]
            print(json.dumps(order), file=self.process.stdin, flush=True)
            code = os.waitstatus_to_exitcode(int(self.process.stdout.readline()))
            texts = [path.read_text(encoding="utf-8") for path in (said, complained)]
        return subprocess.CompletedProcess(arguments, code, *texts)


def keep():
    """In the keeper: fork for each order, and tell how the child ended."""
    orders, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    for module in FIRST:
        import_module(module)
    for line in iter(orders.readline, ""):
        child = os.fork()
        if not child:
            return become(*json.loads(line))
        print(os.waitpid(child, 0)[1], file=answers, flush=True)
    return 0


def become(arguments, folder, environment, said, complained):
    """In the child: take the place of a command that was started there."""
    from windtunnel import __main__ as command

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    writing = os.O_WRONLY | os.O_CREAT
    for number, path, mode in ((0, os.devnull, os.O_RDONLY), (1, said, writing), (2, complained, writing)):
        opened = os.open(path, mode, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = [command.__file__, *arguments]
    sys.path[0] = folder
    return command.main()


if __name__ == "__main__":
    sys.exit(keep())
