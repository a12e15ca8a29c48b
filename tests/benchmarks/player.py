"""How smooth the player is: 800 cars and 2,000 people in a headless Chromium that draws without a GPU.

    python tests/benchmarks/player.py [--cars N] [--people N] [--seconds S]

Prints the frames that reach the screen in a second while it plays, the time of our own script in each, how
long it takes from a seek to the drawn frame, and how long until a replay is there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ui"))

from made_replays import as_json, replay, trajectory

from ui.player.assets import page

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
PLAYER = "document.querySelector('.wtp-host').wtPlayer.player"
PLAYED = """async (seconds) => {
  const player = %s;
  player.speed = 10; player.seek(0); player.stats.frames = 0; player.stats.drawMs = 0; player.play();
  const began = performance.now();
  await new Promise((done) => setTimeout(done, seconds * 1000));
  player.pause();
  const took = (performance.now() - began) / 1000;
  return [player.stats.frames / took, player.stats.drawMs / player.stats.frames];
}"""
SOUGHT = """async (count) => {
  const player = %s, times = [];
  for (let k = 0; k < count; k++) {
    const began = performance.now();
    player.seek((k * 97.3) %% player.endS);
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    times.push([player.stats.seekMs.at(-1), performance.now() - began]);
  }
  return times;
}"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cars", type=int, default=800)
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument("--frames", type=int, default=1_200)
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    frames = trajectory(options.cars, options.people, options.frames)
    document = as_json(replay(duration_s=options.frames / 2, cars=options.cars, people=options.people))
    print(
        f"{options.cars} cars, {options.people} people, {options.frames} frames, {len(frames) / 1e6:.1f} MB"
    )
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "replay.html"
        path.write_text(page("benchmark", document, frames), encoding="utf-8")
        for width in (1280, 1920):
            measure(path, width, options.seconds)


def measure(path: Path, width: int, seconds: float) -> None:
    """One width of the window."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        tab = browser.new_page(viewport={"width": width, "height": 900})
        tab.goto(path.as_uri())
        tab.wait_for_selector(".wtp")
        loaded_ms = tab.evaluate("performance.now()")
        for level in ("", "L1"):
            tab.evaluate(f"{PLAYER}.showLevel('{level}')")
            before_s = processor_s()
            rate, own_ms = tab.evaluate(PLAYED % PLAYER, seconds)
            whole_ms = (processor_s() - before_s) / (rate * seconds) * 1e3
            seeks = tab.evaluate(SOUGHT % PLAYER, 40)
            drawn, shown = ([row[k] for row in seeks] for k in (0, 1))
            print(
                f"{width} px, {level or 'all levels'}: {rate:.1f} frames/s, script {own_ms:.1f} ms a frame,"
                f" processor time of all of Chromium {whole_ms:.1f} ms a frame;"
                f" seek drawn in {statistics.median(drawn):.1f} ms (worst {max(drawn):.1f}),"
                f" shown in {statistics.median(shown):.1f} ms (worst {max(shown):.1f})"
            )
        print(f"{width} px: there after {loaded_ms:.0f} ms")
        browser.close()


def processor_s() -> float:
    """Processor time that Chromium has used so far: of everything this process has started."""
    parents, used = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        number = int(path.parent.name)
        parents[number] = int(fields[1])
        used[number] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return sum(
        seconds for number, seconds in used.items() if number != os.getpid() and _is_ours(number, parents)
    )


def _is_ours(number: int, parents: dict[int, int]) -> bool:
    while number > 1:
        number = parents.get(number, 0)
        if number == os.getpid():
            return True
    return False


if __name__ == "__main__":
    main()
