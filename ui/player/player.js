// The player: a floor plan in time, with everything to move through it.

const SPEEDS = [0.5, 1, 2, 5, 10, 20, 60];
const LIVE_LAG_FRAMES = 2;
const WIDE_PX = 980, MEDIUM_PX = 620;
const LEAST_PX = 260, MOST_PX = 660;
const KEYS = [
  ["Space", "play or pause"], ["\u2190 \u2192", "one second back or on, with Shift ten"], [", .", "one frame back or on"],
  ["Home End", "the beginning, the end"], ["+ \u2212", "zoom in or out"], ["0, 1 to 9", "all levels, or one"],
  ["N P", "next or previous thing; Enter follows it"], ["Esc", "follow nothing"],
];

class Player {
  constructor(root, replay, trajectory, options) {
    this.options = options;
    this.story = new Story(replay);
    this.trajectory = trajectory && trajectory.count ? trajectory : null;
    this.isLive = Boolean(options.isLive);
    this.t = 0;
    this.speed = 5;
    this.isPlaying = false;
    this.atEdge = this.isLive;
    this.look = { smoke: true, queues: true, devices: true, cars: true, people: true };
    this.isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.stats = { frames: 0, drawMs: 0, seekMs: [] };
    this.isPlan = this.story.features.length > 0;
    this.stage = new Stage(this.story, this.trajectory ? this.trajectory.header.bounds : null);
    if (!this.story.levels.length && this.trajectory) this.stage.levels = this.trajectory.levels;
    this.network = this.isPlan ? null : new Network(this.story);
    this.crowd = new Crowd();
    this.things = new Things(this.story, this.trajectory);
    this.names = this.things.names();
    if (this.trajectory && !this.isLive) this.trajectory.park((level, x, y) => this.story.liesAcross(level, x, y));
    this.build(root);
    this.recolour();
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.root);
    this.resize();
  }

  // Building ---------------------------------------------------------------------------------------

  build(root) {
    this.canvas = make("canvas", { className: "wtp-floor", tabIndex: 0, role: "img" });
    this.badges = make("div", { className: "wtp-badges" });
    this.tip = make("div", { className: "wtp-tip", hidden: true });
    this.numbers = make("div", { className: "wtp-numbers" });
    this.floor = make("div", { className: "wtp-stage" }, this.canvas, this.numbers, this.tip);
    this.timeline = new Timeline(this.story, (t, isDone) => this.seek(t, isDone));
    this.events = new EventList(this.story, (t, event) => this.goTo(t, event));
    const what = this.isPlan ? "a car, a person, a device or a gate" : "a fleet or a node";
    this.inspector = new Inspector(what, (t) => this.seek(t, true), () => this.follow(null));
    this.side = make("aside", { className: "wtp-side" }, this.inspector.element, this.events.element);
    this.status = make("p", { className: "wtp-hidden", role: "status" });
    this.main = make("div", { className: "wtp-main" }, this.toolbar(), this.floor, this.legend(), this.transport(), this.timeline.element);
    this.root = make("div", { className: "wtp", role: "region", "aria-label": "Replay" }, this.main, this.side, this.status);
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.listenToCanvas();
    root.replaceChildren(this.root);
  }

  toolbar() {
    const bar = make("div", { className: "wtp-bar" });
    if (this.stage.levels.length > 1 && this.isPlan) {
      this.levelButtons = ["", ...this.stage.levels].map((level, k) => make("button", {
        type: "button", className: "wtp-segment", text: level || "All levels", title: `Key ${k}`,
        "aria-pressed": String(!level), onclick: () => this.showLevel(level),
      }));
      bar.append(make("div", { className: "wtp-segments", role: "group", "aria-label": "Level" }, ...this.levelButtons));
    }
    const overlays = make("div", { className: "wtp-chips", role: "group", "aria-label": "Overlays" });
    const kinds = [
      ["smoke", "Smoke", this.story.smoke.size], ["queues", "Queues", this.story.queues.length],
      ["devices", "Devices", this.isPlan && this.story.placed.length],
      ["cars", "Cars", this.trajectory && this.trajectory.cars], ["people", "People", this.trajectory && this.trajectory.people],
    ];
    for (const [name, label, is] of kinds) {
      if (is) overlays.append(toggle(label, true, (isOn) => { this.look[name] = isOn; this.draw(); }, `Show or hide ${label.toLowerCase()}`));
    }
    const list = make("datalist", { id: `wtp-names-${Math.floor(performance.now() * 1000)}` },
      ...[...this.names.keys()].slice(0, 4000).map((name) => make("option", { value: name })));
    this.find = make("input", { type: "search", className: "wtp-find", placeholder: "Find by name", "aria-label": "Find and follow" });
    this.find.setAttribute("list", list.id);
    this.find.addEventListener("change", () => this.lookUp(this.find.value));
    bar.append(overlays, make("span", { className: "wtp-grow" }), this.find, list);
    if (this.isPlan) {
      bar.append(make("div", { className: "wtp-zoom", role: "group", "aria-label": "Zoom" },
        iconButton("minus", "Zoom out", () => this.zoom(1 / 1.5)), iconButton("plus", "Zoom in", () => this.zoom(1.5)),
        iconButton("fit", "Whole level", () => { this.stage.reset(); this.draw(); })));
    }
    return bar;
  }

  legend() {
    if (!this.isPlan) return null;
    const entry = (sort, text) => make("span", {}, make("i", { className: `wtp-key wtp-key-${sort}` }), make("span", { text }));
    return make("div", { className: "wtp-legend", "aria-label": "Legend" },
      this.trajectory && entry("car", "car"), this.trajectory && entry("person", "person"),
      this.trajectory && entry("rest", "at rest"), this.trajectory && entry("queue", "queueing"),
      entry("door", "door, exit"), entry("open", "gate open"), entry("closed", "gate closed"),
      entry("device", "device"), entry("alarm", "in alarm"), entry("active", "at work"));
  }

  transport() {
    this.playButton = iconButton("play", "Play", () => this.toggle());
    this.playButton.classList.add("wtp-play");
    this.clock = make("output", { className: "wtp-clock", "aria-label": "Time" });
    this.speedBox = make("select", { className: "wtp-speed", "aria-label": "Speed" },
      ...SPEEDS.map((speed) => make("option", { value: speed, text: `${speed}\u00d7`, selected: speed === this.speed })));
    this.speedBox.addEventListener("change", () => { this.speed = Number(this.speedBox.value); });
    this.now = make("span", { className: "wtp-now" });
    this.edge = make("button", { type: "button", className: "wtp-chip wtp-live", text: "Live", hidden: !this.isLive, "aria-pressed": "true", onclick: () => this.toEdge() });
    const keys = make("details", { className: "wtp-keys" },
      make("summary", { title: "Keyboard", "aria-label": "Keyboard" }, icon("keys")),
      make("dl", {}, ...KEYS.flatMap(([key, what]) => [make("dt", { text: key }), make("dd", { text: what })])));
    return make("div", { className: "wtp-transport" },
      iconButton("start", "To the beginning", () => this.seek(0, true)),
      iconButton("back", "One step back", () => this.step(-1)), this.playButton, iconButton("forward", "One step on", () => this.step(1)),
      this.clock, this.speedBox, this.edge, this.now, make("span", { className: "wtp-grow" }), this.badges, keys);
  }

  listenToCanvas() {
    const { canvas } = this;
    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      from = { x: event.offsetX, y: event.offsetY, centre: [...this.stage.centre], isMoved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from) { this.hover(event.offsetX, event.offsetY); return; }
      const dx = event.offsetX - from.x, dy = event.offsetY - from.y;
      if (Math.abs(dx) + Math.abs(dy) > 4) from.isMoved = true;
      if (from.isMoved && this.isPlan) {
        this.isLoose = true;
        this.stage.lookAt(from.centre[0] - dx / this.stage.scale, from.centre[1] + dy / this.stage.scale);
        this.draw();
      }
    });
    canvas.addEventListener("pointerup", (event) => {
      if (from && !from.isMoved) this.follow(this.hit(event.offsetX, event.offsetY));
      from = null;
    });
    canvas.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    canvas.addEventListener("dblclick", (event) => this.zoomAt(event.offsetX, event.offsetY, 1.8));
    canvas.addEventListener("wheel", (event) => {
      if (!this.isPlan || !(event.ctrlKey || event.metaKey || this.stage.zoom > 1 || canvas.matches(":focus"))) return;
      event.preventDefault();
      this.zoomAt(event.offsetX, event.offsetY, Math.exp(-event.deltaY * 0.0016));
    }, { passive: false });
  }

  // Moving through time ----------------------------------------------------------------------------

  get endS() {
    const last = this.trajectory ? this.trajectory.endS : 0;
    if (this.isLive) return Math.max(this.edgeS, this.story.durationS, 1);
    return Math.max(this.story.durationS, last, 1);
  }

  get edgeS() {
    const frames = this.trajectory ? this.trajectory.endS : 0;
    return Math.max(frames, this.liveS || 0);
  }

  seek(t, isDone = true) {
    const began = performance.now();
    this.t = Math.min(Math.max(t, 0), this.isLive ? this.edgeS : this.endS);
    this.atEdge = this.isLive && this.t >= this.edgeS - 1;
    this.draw();
    this.stats.seekMs.push(performance.now() - began);
    if (this.stats.seekMs.length > 500) this.stats.seekMs.shift();
    if (isDone) this.settled();
  }

  // Someone has come to a moment and stays: tell the page, and those who listen instead of looking.
  settled() {
    this.describe();
    if (this.options.onSeek) this.options.onSeek(Math.round(this.t * 100) / 100);
  }

  goTo(t, event) {
    this.seek(t, true);
    const make = event && event.node && this.names.get(event.node);
    if (make) this.follow(make());
  }

  step(direction) {
    this.pause();
    const frame = this.trajectory ? this.trajectory.frameS : 0.5;
    this.seek(Math.round(this.t / frame + direction) * frame, true);
  }

  toggle() { if (this.isPlaying) this.pause(); else this.play(); }

  play() {
    if (!this.isLive && this.t >= this.endS - 1e-6) this.t = 0;
    this.isPlaying = true;
    setIcon(this.playButton, "pause", "Pause");
    this.last = 0;
    this.request();
  }

  pause() {
    if (!this.isPlaying) return;
    this.isPlaying = false;
    setIcon(this.playButton, "play", "Play");
    this.settled();
  }

  toEdge() {
    this.atEdge = true;
    this.play();
  }

  request() {
    if (!this.pending && !this.isGone) this.pending = requestAnimationFrame((now) => { this.pending = 0; this.tick(now); });
  }

  tick(now) {
    if (this.isPlaying) {
      const dt = this.last ? Math.min((now - this.last) / 1000, 0.25) : 0;
      this.last = now;
      this.advance(dt);
    }
    this.draw();
    if (this.isPlaying) this.request();
  }

  advance(dt) {
    if (this.isLive && this.atEdge) {
      const lag = LIVE_LAG_FRAMES * (this.trajectory ? this.trajectory.frameS : 0.5);
      const goal = Math.max(0, this.edgeS - lag);
      this.t += Math.max(goal - this.t, 0) * Math.min(1, dt * 4);
      return;
    }
    this.t = Math.min(this.t + dt * this.speed, this.isLive ? this.edgeS : this.endS);
    if (!this.isLive && this.t >= this.endS) this.pause();
  }

  // Looking ----------------------------------------------------------------------------------------

  showLevel(level) {
    this.stage.shown = level;
    (this.levelButtons || []).forEach((button, k) => button.setAttribute("aria-pressed", String(["", ...this.stage.levels][k] === level)));
    this.relay();
  }

  zoom(factor) { this.zoomAt(null, null, factor); }

  zoomAt(px, py, factor) {
    if (!this.isPlan || !this.stage.panels.length) return;
    const panel = px === null ? this.stage.panels[0] : this.stage.panelAt(px, py) || this.stage.panels[0];
    if (px === null) [px, py] = [panel.x + panel.w / 2, panel.y + panel.h / 2];
    this.stage.zoomAt(panel, px, py, factor);
    this.draw();
  }

  hit(px, py) {
    if (this.network) {
      const group = this.network.hit(px, py);
      return group && this.things.group(group);
    }
    return this.things.hit(this.stage, px, py, this.look);
  }

  hover(px, py) {
    const found = this.hit(px, py);
    this.tip.hidden = !found;
    this.canvas.style.cursor = found ? "pointer" : this.stage.zoom > 1 ? "grab" : "default";
    if (!found) return;
    const [, now] = found.facts(this.t)[0] || [];
    this.tip.textContent = now && now !== "\u2013" ? `${found.name}: ${now}` : found.name;
    const isRight = px > this.width - 180;
    this.tip.style.left = isRight ? "" : `${px + 14}px`;
    this.tip.style.right = isRight ? `${this.width - px + 14}px` : "";
    this.tip.style.top = `${Math.max(py - 10, 4)}px`;
  }

  lookUp(text) {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return;
    const name = [...this.names.keys()].find((each) => each.toLowerCase() === wanted) || [...this.names.keys()].find((each) => each.toLowerCase().includes(wanted));
    this.find.setAttribute("aria-invalid", String(!name));
    if (name) this.follow(this.names.get(name)());
  }

  follow(thing) {
    this.chosen = thing;
    this.isLoose = false;
    this.inspector.open(thing);
    if (thing && this.stage.shown) this.toItsLevel();
    if (this.options.onSelect) this.options.onSelect(thing ? thing.key : "");
    this.draw();
  }

  toItsLevel() {
    const place = this.chosen.place();
    if (place && place.level !== this.stage.shown && this.stage.levels.includes(place.level)) this.showLevel(place.level);
  }

  cycle(direction) {
    const makes = this.things.near(this.stage);
    if (!makes.length) return;
    this.cursor = (((this.cursor === undefined ? (direction > 0 ? -1 : 0) : this.cursor) + direction) % makes.length + makes.length) % makes.length;
    this.pointed = makes[this.cursor]();
    this.say(`${this.pointed.kind} ${this.pointed.name}`);
    this.draw();
  }

  key(event) {
    const target = event.composedPath()[0], tag = target.tagName, isRange = target.type === "range";
    if (event.ctrlKey || event.metaKey || event.altKey || tag === "SELECT" || (tag === "INPUT" && !isRange)) return;
    const isButton = tag === "BUTTON" || tag === "SUMMARY";
    const second = event.shiftKey ? 10 : 1;
    const actions = {
      " ": () => !isButton && this.toggle(), Enter: () => !isButton && this.pointed && this.follow(this.pointed),
      ArrowLeft: () => this.seek(this.t - second), ArrowRight: () => this.seek(this.t + second),
      ",": () => this.step(-1), ".": () => this.step(1), Home: () => this.seek(0), End: () => this.seek(this.endS),
      "+": () => this.zoom(1.5), "=": () => this.zoom(1.5), "-": () => this.zoom(1 / 1.5),
      n: () => this.cycle(1), p: () => this.cycle(-1), Escape: () => { this.pointed = null; this.follow(null); },
    };
    const digit = /^[0-9]$/.test(event.key) && this.levelButtons ? Number(event.key) : -1;
    if (digit >= 0 && digit <= this.stage.levels.length) actions[event.key] = () => this.showLevel(["", ...this.stage.levels][digit]);
    const action = actions[event.key] || actions[event.key.toLowerCase()];
    if (!action || (isButton && (event.key === " " || event.key === "Enter"))) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  // Drawing ----------------------------------------------------------------------------------------

  recolour() {
    this.palette = paletteOf(this.root);
    this.root.classList.toggle("wtp-dark", this.palette.isDark);
    const names = ["rest", "moving", "queueing", "person", "danger", "alarm", "fault", "decision", "motion", "other", "open", "closed", "device", "faint", "floor"];
    for (const name of ["text", "background", "surface", "border", "primary"]) this.root.style.setProperty(`--wtp-${name}`, this.palette[name]);
    for (const name of names) this.root.style.setProperty(`--wtp-${name}`, this.palette[name]);
    this.isStale = true;
    this.drawnVersion = -1;
    if (this.width) this.draw();
  }

  resize() {
    const width = Math.floor(this.root.clientWidth);
    if (!width || width === this.rootWidth) return;
    this.rootWidth = width;
    this.root.classList.toggle("wtp-wide", width >= WIDE_PX);
    this.root.classList.toggle("wtp-medium", width < WIDE_PX && width >= MEDIUM_PX);
    this.relay();
  }

  relay() {
    this.width = Math.floor(this.floor.clientWidth);
    const count = this.stage.shown ? 1 : this.stage.levels.length;
    this.height = this.options.height || (this.network ? Math.min(Math.max(this.network.tallest * 64 + 20, 180), MOST_PX) : heightFor(count, this.width, this.stage.box, LEAST_PX, MOST_PX));
    this.ratio = Math.min(window.devicePixelRatio || 1, 2);
    for (const canvas of [this.canvas, (this.still = this.still || document.createElement("canvas"))]) {
      canvas.width = Math.round(this.width * this.ratio);
      canvas.height = Math.round(this.height * this.ratio);
    }
    this.canvas.style.height = `${this.height}px`;
    this.stage.layOut(this.width, this.height);
    this.stage.lookAt(...this.stage.centre);
    if (this.network) this.network.layOut(this.width, this.height);
    this.timeline.layOut(Math.floor(this.timeline.element.clientWidth) || this.width, this.endS);
    this.isStale = true;
    this.placeNumbers();
    this.draw();
    this.describe();
  }

  placeNumbers() {
    const spare = this.isPlan && this.trajectory ? this.stage.spare : null;
    this.numbers.hidden = !spare;
    if (!spare) return;
    Object.assign(this.numbers.style, { left: `${spare.x}px`, top: `${spare.y}px`, width: `${spare.w}px`, height: `${spare.h}px` });
  }

  draw() {
    if (!this.width || this.isGone) return;
    const began = performance.now(), g = this.canvas.getContext("2d"), palette = this.palette;
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const now = this.trajectory ? this.trajectory.at(this.t, !this.isCalm) : null;
    if (this.chosen && this.isPlan) this.keepInSight();
    if (this.network) {
      g.scale(this.ratio, this.ratio);
      this.network.draw(g, palette, this.t, this.chosen && this.chosen.name);
    } else this.drawPlan(g, now, palette);
    this.drawText(now, palette);
    this.timeline.draw(this.t, palette, this.isStale);
    this.isStale = false;
    this.stats.frames += 1;
    this.stats.drawMs += performance.now() - began;
  }

  keepInSight() {
    const place = this.chosen.place();
    if (!place) return;
    if (this.stage.shown && place.level !== this.stage.shown) this.toItsLevel();
    if (this.stage.zoom > 1.01 && !this.isLoose) this.stage.lookAt(place.x, place.y);
  }

  drawPlan(g, now, palette) {
    const { stage, story, t, isCalm } = this;
    if (this.drawnVersion !== stage.version) {
      const s = this.still.getContext("2d");
      s.setTransform(1, 0, 0, 1, 0, 0);
      s.clearRect(0, 0, this.still.width, this.still.height);
      s.scale(this.ratio, this.ratio);
      drawStill(s, stage, palette);
      this.drawnVersion = stage.version;
    }
    g.drawImage(this.still, 0, 0);
    g.scale(this.ratio, this.ratio);
    const counts = now ? this.counted(now) : null;
    this.things.atGates = now ? countAtGates(story, this.trajectory, now, stage) : [];
    drawHeads(g, stage, palette, (panel) => this.headText(panel, counts));
    for (const panel of stage.panels) {
      g.save();
      g.beginPath();
      g.rect(panel.x, panel.y, panel.w, panel.h);
      g.clip();
      if (this.look.devices) drawDevices(g, stage, panel, story, palette, t, isCalm);
      drawDoors(g, stage, panel, palette);
      if (now) this.crowd.draw(g, stage, panel, this.trajectory, now, palette, this.look);
      drawFire(g, stage, panel, story.fire, palette, t, isCalm);
      if (this.look.smoke) drawSmoke(g, stage, panel, story.smokeAt(panel.level, t), palette, t, isCalm);
      drawGates(g, stage, panel, story, palette, t);
      if (this.look.queues) drawQueues(g, stage, panel, story, palette, t, this.things.atGates);
      this.drawCourse(g, panel, palette);
      this.drawRing(g, panel, this.pointed, palette.faint);
      this.drawRing(g, panel, this.chosen, palette.primary);
      g.restore();
    }
  }

  // The way of who is followed: behind it solid, before it dotted.
  drawCourse(g, panel, palette) {
    const i = this.chosen ? this.chosen.index : undefined;
    if (i === undefined) return;
    const { trajectory } = this, now = Math.floor(this.t / trajectory.frameS);
    for (const [from, to, dash] of [[0, now + 1, []], [now, trajectory.frames, [2, 5]]]) {
      g.beginPath();
      let isDown = false;
      for (let k = from; k < Math.min(to + 1, trajectory.frames); k++) {
        if (!trajectory.stateOf(k, i) || trajectory.levelOf(k, i) !== panel.index) { isDown = false; continue; }
        const [px, py] = this.stage.toScreen(panel, ...trajectory.point(k, i));
        if (isDown) g.lineTo(px, py); else g.moveTo(px, py);
        isDown = true;
      }
      g.setLineDash(dash);
      g.lineWidth = 2;
      g.strokeStyle = palette.primary;
      g.stroke();
    }
    g.setLineDash([]);
  }

  drawRing(g, panel, thing, colour) {
    const place = thing && thing.place();
    if (!place || place.level !== panel.level) return;
    const [px, py] = this.stage.toScreen(panel, place.x, place.y);
    const r = Math.max(9, Math.min(3.2 * this.stage.scale, 40));
    g.lineWidth = 4.5;
    g.strokeStyle = this.palette.halo;
    g.beginPath(); g.arc(px, py, r, 0, 7); g.stroke();
    g.lineWidth = 2;
    g.strokeStyle = colour;
    g.stroke();
    g.font = `600 12px ${this.palette.font}`;
    g.textBaseline = "middle";
    const wide = g.measureText(thing.name).width, x = Math.min(px + r + 7, panel.x + panel.w - wide - 8);
    const y = Math.max(py - r, panel.y + 12);
    g.fillStyle = colour;
    g.beginPath(); g.roundRect(x - 6, y - 10, wide + 12, 20, 6); g.fill();
    g.fillStyle = this.palette.background;
    g.fillText(thing.name, x, y + 0.5);
  }

  counted(now) {
    const counts = this.stage.levels.map(() => ({ cars: 0, people: 0, queueing: 0 }));
    for (let i = 0; i < this.trajectory.count; i++) {
      if (!now.state[i] || !counts[now.level[i]]) continue;
      const count = counts[now.level[i]];
      if (i < this.trajectory.cars) count.cars++; else count.people++;
      if (now.state[i] === QUEUEING) count.queueing++;
    }
    this.inside = counts;
    return counts;
  }

  headText(panel, counts) {
    const { palette } = this, parts = [], count = counts && counts[panel.index];
    if (count) parts.push([`${count.people} people, ${count.cars} cars`, palette.faint]);
    const smoke = this.story.smokeAt(panel.level, this.t);
    if (smoke && smokeShare(smoke) > 0.01) {
      const isLayer = smoke.height != null && smoke.height > 0;
      if (isLayer) parts.push([`smoke down to ${smoke.height.toFixed(1)} m`, palette.danger]);
      if (smoke.visibility < 30) parts.push([`${isLayer ? "in it one sees" : "one sees"} ${smoke.visibility.toFixed(smoke.visibility < 10 ? 1 : 0)} m`, palette.danger]);
      if (smoke.celsius > 40) parts.push([`${Math.round(smoke.celsius)} \u00b0C`, palette.danger]);
    }
    return parts;
  }

  // What stands as text around the plan; touched only where it has changed.
  drawText(now, palette) {
    put(this.clock, `${clockText(this.t)} / ${clockText(this.endS, false)}`);
    if (!this.numbers.hidden && now) this.drawNumbers();
    const cut = this.story.linksNow(this.t).map(([way, state]) => [`${way.name}: ${state}`, state]);
    const text = JSON.stringify(cut);
    if (text !== this.badgesText) {
      this.badgesText = text;
      this.badges.replaceChildren(...cut.slice(0, 4).map(([name, state]) => make("span", { className: `wtp-badge wtp-badge-${sortOf(state) === "degraded" ? "degraded" : "cut"}`, text: name })));
      if (cut.length > 4) this.badges.append(make("span", { className: "wtp-badge wtp-badge-cut", text: `and ${cut.length - 4} more` }));
    }
    const k = this.story.eventsNear(this.t), event = this.story.events[k];
    put(this.now, event && this.t - event.at_s < Math.max(3, this.speed) ? event.text || event.kind : "");
    this.events.follow(this.t, this.isCalm);
    if (this.chosen) this.inspector.tell(this.chosen.facts(this.t), this.t);
    if (this.isLive) this.edge.setAttribute("aria-pressed", String(this.atEdge));
  }

  drawNumbers() {
    const sum = (name) => this.inside.reduce((total, each) => total + each[name], 0);
    const rows = [[sum("people"), "people inside", this.trajectory.people], [sum("cars"), "cars inside", this.trajectory.cars], [sum("queueing"), "queueing", 0]];
    if (!this.numberCells) {
      this.numberCells = rows.map(() => [make("b"), make("span")]);
      this.numbers.replaceChildren(...this.numberCells.map((cells) => make("div", {}, ...cells)));
    }
    rows.forEach(([value, label, of], k) => {
      put(this.numberCells[k][0], String(value));
      put(this.numberCells[k][1], of ? `${label}, of ${of}` : label);
    });
  }

  say(text) { put(this.status, text); }

  describe() {
    const parts = [`Time ${clockText(this.t)}.`];
    if (this.trajectory && this.inside) {
      this.stage.levels.forEach((level, k) => {
        const count = this.inside[k];
        if (count) parts.push(`${level}: ${count.people} people, ${count.cars} cars, ${count.queueing} queueing.`);
      });
    }
    for (const [link, state] of this.story.linksNow(this.t).slice(0, 6)) parts.push(`${link.name}: ${state}.`);
    const event = this.story.events[this.story.eventsNear(this.t)];
    if (event) parts.push(`Last event: ${event.text || event.kind} at ${clockText(event.at_s)}.`);
    const text = parts.join(" ");
    this.canvas.setAttribute("aria-label", `${this.isPlan ? "Floor plan" : "Network plan"}. ${text}`);
    this.say(text);
  }

  // A running run ----------------------------------------------------------------------------------

  learn(message) {
    if (message.kind === "state") {
      this.liveS = message.state.at_s || this.liveS;
      this.story.knownS = this.liveS;
      this.story.learn(message.state);
    } else if (message.kind === "events") {
      this.story.add(message.events);
      this.events.fill();
    } else if (message.kind === "end") {
      this.isLive = false;
      this.edge.hidden = true;
      this.endMessage = "The run has ended.";
      this.say(this.endMessage);
    }
    if (message.kind !== "frame") {
      this.timeline.layOut(this.timeline.width || this.width, this.endS);
      this.isStale = true;
    }
    if (this.isLive && !this.isPlaying && this.atEdge && !this.wasPaused) this.play();
    this.request();
  }

  destroy() {
    this.isGone = true;
    this.sizes.disconnect();
    cancelAnimationFrame(this.pending);
  }
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// The entry: draws the replay of `source` into `element`. Answers a handle at once; `ready` is fulfilled with
// the player. options: onSeek(t), onSelect(key), height (px), seek (s).
function mountPlayer(element, source, options = {}) {
  const handle = { player: null, stop: null, isGone: false };
  const notice = make("div", { className: "wtp-notice", role: "status", text: source.liveUrl ? "Waiting for the run to begin." : "Loading the replay." });
  element.replaceChildren(notice);
  const begin = (replay, trajectory) => {
    if (handle.isGone) return null;
    handle.player = new Player(element, replay, trajectory, { ...options, isLive: Boolean(source.liveUrl) });
    if (options.seek) handle.player.seek(options.seek, false);
    return handle.player;
  };
  const fail = (error) => { notice.setAttribute("role", "alert"); notice.textContent = error.message; element.replaceChildren(notice); };
  if (source.liveUrl) {
    handle.ready = new Promise((resolve) => {
      handle.stop = listen(source.liveUrl, (replay, trajectory) => resolve(begin(replay, trajectory)), (message) => handle.player && handle.player.learn(message),
        (isBegun) => (isBegun ? handle.player.say("The connection to the run is lost.") : fail(new Error("The run cannot be followed."))));
    });
  } else {
    handle.ready = loaded(source).then(({ replay, trajectory }) => begin(replay, trajectory)).catch((error) => { fail(error); return null; });
  }
  handle.seek = (t) => handle.ready.then((player) => player && player.seek(t, false));
  handle.destroy = () => {
    handle.isGone = true;
    if (handle.stop) handle.stop();
    if (handle.player) handle.player.destroy();
  };
  return handle;
}
