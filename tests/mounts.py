"""Commands that run with a file system of their own, mounted in a namespace that ends with them."""

import shutil
import subprocess

import pytest


def mounted(options, at, place):
    """What to put before a command so that a new file system is mounted at a path below `place`, its folder.

    Skips where nobody may mount, which is no matter of ours.
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.fail("a mount of one's own needs unshare; install it with: sudo apt-get install -y util-linux")
    script = f'mount -t tmpfs -o {options} none {at} && cd "$PWD" && exec "$@"'
    apart = [unshare, "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    if subprocess.run([*apart, "true"], cwd=place, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    return apart
