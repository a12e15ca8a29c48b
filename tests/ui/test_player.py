"""The player in a real Chromium: it plays both ways, follows, and shows names as they are."""

import json
import struct

import pytest
from made_replays import HOSTILE, as_json, replay, trajectory

from scenarios.replaying.wording import DEVICES
from ui.player import assets

PLAYER = "document.querySelector('.wtp-host').wtPlayer.player"


@pytest.fixture
def opened(chromium, tmp_path):
    """A replay opened as a page of its own, with what went wrong in it."""
    tabs = []

    def open_page(name="gate", people=60, **options):
        document = as_json(replay(name, cars=20, people=people))
        path = tmp_path / "replay.html"
        path.write_text(assets.page(name, document, trajectory(20, people)), encoding="utf-8")
        tab = chromium.new_page(viewport={"width": 1280, "height": 900}, **options)
        problems = []
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.on("console", lambda said: said.type == "error" and problems.append(said.text))
        tab.on("request", lambda request: request.url.startswith("http") and problems.append(request.url))
        tabs.append((tab, problems))
        tab.goto(path.as_uri())
        tab.wait_for_selector(".wtp")
        return tab

    yield open_page
    for tab, problems in tabs:
        tab.close()
        assert problems == []


def time_of(tab):
    return tab.evaluate(f"{PLAYER}.t")


def test_one_file_shows_a_replay_without_a_network(opened):
    """The page holds its data, script and style; nothing is fetched, and the plan is drawn."""
    tab = opened()

    pixels = tab.evaluate(
        "new Set(document.querySelector('.wtp-floor').getContext('2d').getImageData(0, 0, 900, 99).data).size"
    )
    assert pixels > 20
    assert "/ 5:00" in tab.inner_text(".wtp-clock")


def test_time_goes_both_ways(opened):
    """Space plays and stops; arrows, comma and point, Home and End move; the slider follows."""
    tab = opened()
    tab.focus(".wtp-floor")
    tab.keyboard.press("Space")
    tab.wait_for_function(f"{PLAYER}.t > 1")
    tab.keyboard.press("Space")
    stopped = time_of(tab)
    assert not tab.evaluate(f"{PLAYER}.isPlaying")

    tab.keyboard.press("Shift+ArrowRight")
    assert time_of(tab) == pytest.approx(stopped + 10)
    tab.keyboard.press("ArrowLeft")
    assert time_of(tab) == pytest.approx(stopped + 9)
    tab.keyboard.press("End")
    tab.keyboard.press(",")
    assert time_of(tab) == 299.5
    assert float(tab.input_value(".wtp-slider")) == pytest.approx(299.5)
    tab.keyboard.press("Home")
    assert time_of(tab) == 0


def test_between_two_frames_everybody_is_between_two_places(opened):
    """A car half a frame on stands half the way; with reduced motion it stands at the frame."""
    read = f"[0, 0.25, 0.5].map((t) => {PLAYER}.trajectory.at(t, SMOOTH).x[3])"
    tab = opened()

    first, between, last = tab.evaluate(read.replace("SMOOTH", "true"))
    assert first != last
    assert between == pytest.approx((first + last) / 2, abs=1e-3)
    first, between, _ = tab.evaluate(read.replace("SMOOTH", "false"))
    assert between == first


def test_reduced_motion_is_respected(opened):
    """Who wants less motion gets steps from frame to frame."""
    assert opened(reduced_motion="reduce").evaluate(f"{PLAYER}.isCalm") is True


def test_a_seek_is_drawn_within_50_ms(opened):
    """Median of 30 seeks to anywhere, on a machine that does other things too."""
    tab = opened()

    times = tab.evaluate(
        f"Array.from({{length: 30}}, (_, k) => {{ const p = {PLAYER};"
        " p.seek(k * 9.7); return p.stats.seekMs.at(-1); })"
    )
    assert sorted(times)[15] < 50


def test_what_is_found_by_name_is_followed(opened):
    """Name, state, level and course of a device and of a car; Escape lets go."""
    tab = opened()
    tab.evaluate(f"{PLAYER}.seek(100)")
    for name, words in (("gate", "open"), ("Car 3", "L")):
        tab.fill(".wtp-find", name)
        tab.press(".wtp-find", "Enter")
        assert name in tab.inner_text(".wtp-inspector h3")
        assert words in tab.inner_text(".wtp-inspector dl")
    tab.focus(".wtp-floor")
    tab.keyboard.press("Escape")
    assert tab.is_hidden(".wtp-inspector h3")


def test_a_click_on_a_car_follows_it(opened):
    """The car under the pointer, wherever it is now."""
    tab = opened()
    x, y, name = tab.evaluate(
        f"""(() => {{ const p = {PLAYER}, i = 5, level = p.trajectory.levels[p.trajectory.now.level[i]];
        const panel = p.stage.panels.find((each) => each.level === level);
        const now = p.trajectory.now;
        return [...p.stage.toScreen(panel, now.x[i], now.y[i]), p.trajectory.label(i)]; }})()"""
    )
    tab.click(".wtp-floor", position={"x": x, "y": y})
    assert tab.inner_text(".wtp-inspector h3") != ""
    assert tab.evaluate(f"{PLAYER}.chosen.name") in {name, *tab.evaluate(f"[...{PLAYER}.names.keys()]")}


def test_everything_can_be_followed_with_the_keyboard(opened):
    """N points at the next thing, Enter follows it, and the reader is told."""
    tab = opened()
    tab.focus(".wtp-floor")
    tab.keyboard.press("n")
    told = tab.inner_text(".wtp > [role=status]")
    tab.keyboard.press("Enter")
    assert tab.inner_text(".wtp-inspector h3") in told


def test_levels_zoom_and_overlays(opened):
    """Keys 1 to 9 show one level, 0 all; plus and minus zoom; a chip takes an overlay away."""
    tab = opened()
    tab.focus(".wtp-floor")
    tab.keyboard.press("2")
    assert tab.evaluate(f"{PLAYER}.stage.panels.map((each) => each.level)") == ["L2"]
    tab.keyboard.press("0")
    assert len(tab.evaluate(f"{PLAYER}.stage.panels")) == 3
    tab.keyboard.press("+")
    assert tab.evaluate(f"{PLAYER}.stage.zoom") > 1
    tab.click(".wtp-chip:has-text('Smoke')")
    assert tab.evaluate(f"{PLAYER}.look.smoke") is False


def test_an_event_is_a_way_to_its_moment(opened):
    """The list shows kinds; a click goes there and follows the node of the event."""
    tab = opened()
    tab.click(".wtp-event:has-text('D3,')")
    assert time_of(tab) == 63.0
    assert tab.inner_text(".wtp-inspector h3") == "D3"


def test_a_cut_link_is_told(opened):
    """In the strip and beside the clock, in words, while it is cut."""
    tab = opened(name="uplink")
    tab.evaluate(f"{PLAYER}.seek(60)")
    assert tab.inner_text(".wtp-badges") == "uplink: cut"
    tab.evaluate(f"{PLAYER}.seek(90)")
    assert tab.inner_text(".wtp-badges") == ""
    assert "uplink: up from 0:00, cut from 0:50" in tab.inner_text(".wtp-timeline p")


def test_the_plan_has_words_for_who_cannot_see_it(opened):
    """Its label says the time, who is where, what is cut and what happened last."""
    tab = opened()
    tab.evaluate(f"{PLAYER}.seek(70)")
    label = tab.get_attribute(".wtp-floor", "aria-label")
    for words in ("Time 1:10.0", "L1:", "people", "queueing", "Last event"):
        assert words in label


def test_names_are_text_and_never_markup(opened):
    """A name that looks like markup is shown as it is; nothing of it runs, nothing is fetched."""
    tab = opened(name=HOSTILE)
    tab.fill(".wtp-find", "<img")
    tab.press(".wtp-find", "Enter")
    assert tab.inner_text(".wtp-inspector h3") == HOSTILE
    assert tab.evaluate("window.__hurt === undefined")
    assert tab.locator("img").count() == 0


def test_a_running_run_grows(chromium, tmp_path):
    """Messages of a live run: the scene, frames that fill gaps, states, and the end."""
    import gzip

    content = gzip.decompress(trajectory(4, 6, frames=5))
    length = struct.unpack_from("<I", content, 4)[0]
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    document = json.loads(as_json(replay(cars=4, people=6, events=0)))
    document["events"] = []
    script = (
        f"<style>{assets.style()}</style><div class=wtp-host></div><script>{assets.script()}\n"
        "class Fake { constructor() { window.socket = this; } close() {} }\nwindow.WebSocket = Fake;\n"
        "const host = document.querySelector('.wtp-host');\n"
        "window.handle = mountPlayer(host, {liveUrl: '/wt/runs/r/live'});</script>"
    )
    path = tmp_path / "live.html"
    path.write_text(f"<!doctype html><meta charset=utf-8>{script}", encoding="utf-8")
    tab = chromium.new_page()
    tab.goto(path.as_uri())
    said = "(message) => window.socket.onmessage({data: JSON.stringify(message)})"
    tab.evaluate(said, {"kind": "scene", "header": {**header, "frames": 0}, "replay": document})
    tab.wait_for_selector(".wtp")
    size = 60
    for index in (0, 1, 4):
        data = list(struct.pack("<I", index) + body[index * size : (index + 1) * size])
        tab.evaluate("(data) => window.socket.onmessage({data: new Uint8Array(data).buffer})", data)
    state = {"at_s": 120.0, "links": {"gate": "cut"}, "nodes": {"D2": "down"}}
    state["since"] = {"gate": 100.0, "D2": 110.0}
    tab.evaluate(said, {"kind": "state", "state": state})
    tab.evaluate(
        said, {"kind": "events", "events": [{"at_s": 1.0, "kind": "alarm", "text": "now", "node": "D1"}]}
    )

    assert tab.evaluate("handle.player.trajectory.frames") == 5
    assert tab.evaluate("handle.player.story.stateOf(handle.player.story.byNode.get('D2'), 199)") == "dead"
    assert tab.evaluate("handle.player.story.linksNow(199).map(([way, state]) => state)") == ["cut"]
    # who joined after two minutes sees both from when they began
    counts = "[99, 101].map((t) => handle.player.story.linksNow(t).length)"
    assert tab.evaluate(counts) == [0, 1]
    told = "[109, 111].map((t) => handle.player.story.stateOf(handle.player.story.byNode.get('D2'), t))"
    assert [each == "dead" for each in tab.evaluate(told)] == [False, True]
    assert tab.inner_text(".wtp-event .wtp-what") == "now"
    tab.evaluate(said, {"kind": "end"})
    assert tab.is_hidden(".wtp-live")
    tab.close()


def test_events_of_a_running_run_say_the_states_of_devices(chromium, tmp_path):
    """In the words in which events are told: every state that the recorder knows comes out the same."""
    path = tmp_path / "words.html"
    path.write_text(f"<script>{assets.script()}</script>", encoding="utf-8")
    tab = chromium.new_page()
    tab.goto(path.as_uri())
    for words in DEVICES.values():
        for value in (0.0, 1.0):
            if words.state is not None:
                event = {"kind": words.kind, "text": words.text(value)}
                told = tab.evaluate("(event) => stateTold(event, {states: []})", event)
                assert told == words.state(value), event
    tab.close()


def test_a_replay_that_is_not_there_is_said(chromium, tmp_path):
    """What cannot be read is one sentence in place of the plan."""
    path = tmp_path / "broken.html"
    path.write_text(assets.page("x", as_json(replay()), b"nonsense, not frames"), encoding="utf-8")
    tab = chromium.new_page()
    tab.goto(path.as_uri())
    tab.wait_for_selector(".wtp-notice[role=alert]")
    assert tab.inner_text(".wtp-notice") == "This is not a trajectory."
    tab.close()
