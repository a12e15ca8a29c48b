"""Every Python block runs, and the tests in it pass."""

from __future__ import annotations

import sys
import types


def test_python_blocks_run(document, blocks, monkeypatch, tmp_path):
    """The blocks of a document share their names, as a reader would paste them into one file."""
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType(f"document_{document.stem}".replace("-", "_"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for block in blocks("python"):
        code = compile("\n" * block.line + block.text, str(document), "exec")
        exec(code, module.__dict__)  # noqa: S102  (our own documents)
    for name, value in list(vars(module).items()):
        if name.startswith("test_"):
            value()
