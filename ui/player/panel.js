// Beside the floor plan: what is followed, and the list of events.

const ROW_HEIGHT = 46;
const MOST_STEPS = 60;

class EventList {
  constructor(story, onseek) {
    this.story = story;
    this.onseek = onseek;
    this.off = new Set(story.events.some((each) => each.group !== "other") ? ["other"] : []);
    this.current = -1;
    this.chips = make("div", { className: "wtp-chips", role: "group", "aria-label": "Kinds of events" });
    this.space = make("div", { className: "wtp-space" });
    this.list = make("div", { className: "wtp-list", tabIndex: 0, role: "region", "aria-label": "Events" }, this.space);
    this.head = make("h3", { text: "Events" });
    this.element = make("section", { className: "wtp-events" }, this.head, this.chips, this.list);
    this.list.addEventListener("scroll", () => this.render());
    this.fill();
  }

  fill() {
    const counts = new Map();
    for (const event of this.story.events) counts.set(event.group, (counts.get(event.group) || 0) + 1);
    this.chips.replaceChildren(...GROUPS.filter(([group]) => counts.has(group)).map(([group, label]) => {
      const chip = toggle("", !this.off.has(group), (isOn) => {
        if (isOn) this.off.delete(group); else this.off.add(group);
        this.filter();
      });
      chip.append(make("span", { className: `wtp-mark wtp-${group}` }), make("span", { text: `${label} ${counts.get(group)}` }));
      return chip;
    }));
    this.filter();
  }

  filter() {
    this.shown = this.story.events.map((event, k) => k).filter((k) => !this.off.has(this.story.events[k].group));
    const omitted = this.story.replay.omitted_events;
    this.head.textContent = `Events (${this.shown.length}${omitted ? `, ${omitted} more left out` : ""})`;
    this.space.style.height = `${this.shown.length * ROW_HEIGHT}px`;
    this.current = -2;
    this.render();
  }

  follow(t, isCalm) {
    const k = this.story.eventsNear(t);
    let row = -1;
    for (let low = 0, high = this.shown.length; low < high;) {
      const middle = (low + high) >> 1;
      if (this.shown[middle] <= k) { row = middle; low = middle + 1; } else high = middle;
    }
    if (row === this.current) return;
    this.current = row;
    if (!this.list.matches(":hover, :focus-within")) {
      this.list.scrollTo({ top: Math.max(0, row * ROW_HEIGHT - this.list.clientHeight / 2 + ROW_HEIGHT), behavior: isCalm ? "auto" : "instant" });
    }
    this.render();
  }

  render() {
    const first = Math.max(0, Math.floor(this.list.scrollTop / ROW_HEIGHT) - 3);
    const last = Math.min(this.shown.length, first + Math.ceil((this.list.clientHeight || 300) / ROW_HEIGHT) + 6);
    const focused = this.list.contains(activeIn(this.list)) ? activeIn(this.list).dataset.row : null;
    this.space.replaceChildren(...this.shown.slice(first, last).map((index, i) => this.row(first + i, this.story.events[index])));
    if (focused !== null) {
      const row = [...this.space.children].find((each) => each.dataset.row === focused);
      if (row) row.focus({ preventScroll: true });
    }
  }

  row(number, event) {
    const row = make("button", { type: "button", className: "wtp-event", title: event.text || event.kind, onclick: () => this.onseek(event.at_s, event) },
      make("span", { className: `wtp-mark wtp-${event.group}` }),
      make("span", { className: "wtp-when", text: clockText(event.at_s) }),
      make("span", { className: "wtp-what", text: event.text || event.kind }),
      make("span", { className: "wtp-where", text: [event.node, event.level].filter(Boolean).join(", ") || words(event.kind) }));
    row.style.top = `${number * ROW_HEIGHT}px`;
    row.dataset.row = number;
    if (number === this.current) row.setAttribute("aria-current", "true");
    else if (number > this.current) row.classList.add("wtp-later");
    return row;
  }
}

function activeIn(element) {
  return element.getRootNode().activeElement;
}

// What an agent does over the whole run: [time, text] wherever its state or level changes.
function courseOf(trajectory, i) {
  const rows = [];
  let last = "";
  for (let k = 0; k < trajectory.frames && rows.length < MOST_STEPS; k++) {
    const state = trajectory.stateOf(k, i), level = trajectory.levels[trajectory.levelOf(k, i)];
    const text = state === ABSENT ? MOTION_WORDS[ABSENT] : `${MOTION_WORDS[state]}, ${level}`;
    if (text !== last) {
      const at = k * trajectory.frameS;
      if (rows.length && at - rows[rows.length - 1][0] < 1.01 && state !== ABSENT) rows[rows.length - 1][1] = text;
      else rows.push([at, text]);
      last = text;
    }
  }
  return rows.filter(([, text], k) => !k || text !== rows[k - 1][1]);
}

function queueingSeconds(trajectory, i) {
  let frames = 0;
  for (let k = 0; k < trajectory.frames; k++) if (trajectory.stateOf(k, i) === QUEUEING) frames++;
  return frames * trajectory.frameS;
}

class Inspector {
  constructor(what, onseek, onclose) {
    this.onseek = onseek;
    this.kind = make("span", { className: "wtp-kind" });
    this.title = make("h3");
    this.facts = make("dl");
    this.course = make("ol", { className: "wtp-course" });
    this.close = iconButton("close", "Stop following", onclose);
    this.hint = make("p", { className: "wtp-hint", text: `Click ${what} to follow it, or find it by name.` });
    this.body = make("div", { hidden: true }, make("header", {}, make("div", {}, this.kind, this.title), this.close), this.facts, this.course);
    this.element = make("section", { className: "wtp-inspector", "aria-live": "polite" }, this.hint, this.body);
  }

  open(thing) {
    this.hint.hidden = Boolean(thing);
    this.body.hidden = !thing;
    this.rows = null;
    if (!thing) return;
    this.kind.textContent = thing.kind;
    this.title.textContent = thing.name;
    this.course.replaceChildren(...thing.course.map(([at, text]) => make("li", {},
      make("button", { type: "button", onclick: () => this.onseek(at) }, make("span", { className: "wtp-when", text: clockText(at) }), make("span", { text })))));
    this.times = thing.course.map(([at]) => at);
    this.marked = -2;
  }

  tell(facts, t) {
    const text = JSON.stringify(facts);
    if (text !== this.rows) {
      this.rows = text;
      this.facts.replaceChildren(...facts.flatMap(([name, value]) => [make("dt", { text: name }), make("dd", { text: value })]));
    }
    const now = lastBefore(this.times.map((at) => [at]), t);
    if (now === this.marked) return;
    this.marked = now;
    [...this.course.children].forEach((item, k) => {
      if (k === now) item.setAttribute("aria-current", "true"); else item.removeAttribute("aria-current");
    });
  }
}
