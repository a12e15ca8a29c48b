// The strip under the floor plan: what happened when, at a glance, and the slider that goes there.

const GUTTER_PX = 108, THUMB_PX = 8, MARKS_PX = 20, SLIDER_PX = 22, CURVE_PX = 40, ROW_PX = 18;
const MOST_ROWS = 6;
const MARK_ORDER = ["other", "motion", "decision", "fault", "alarm", "danger"];

// Draws a mark whose shape says its group as well as its colour does.
function drawMark(g, group, x, y, r) {
  g.beginPath();
  if (group === "danger") { g.moveTo(x, y - r); g.lineTo(x + r, y + r); g.lineTo(x - r, y + r); g.closePath(); }
  else if (group === "alarm") { g.moveTo(x, y - r); g.lineTo(x + r, y); g.lineTo(x, y + r); g.lineTo(x - r, y); g.closePath(); }
  else if (group === "fault") { g.rect(x - r * 0.85, y - r * 0.85, r * 1.7, r * 1.7); }
  else if (group === "decision") { g.arc(x, y, r * 0.9, 0, 7); }
  else if (group === "motion") { g.moveTo(x - r, y - r); g.lineTo(x + r, y); g.lineTo(x - r, y + r); g.closePath(); }
  else { g.rect(x - 0.75, y - r, 1.5, 2 * r); }
  g.fill();
}

class Timeline {
  constructor(story, onseek) {
    this.story = story;
    this.canvas = make("canvas", { className: "wtp-strip", "aria-hidden": "true" });
    this.slider = make("input", { type: "range", className: "wtp-slider", min: 0, step: 0.1, value: 0, "aria-label": "Time" });
    this.slider.addEventListener("input", () => onseek(Number(this.slider.value), false));
    this.slider.addEventListener("change", () => onseek(Number(this.slider.value), true));
    this.alternative = make("p", { className: "wtp-hidden" });
    this.element = make("div", { className: "wtp-timeline" }, this.canvas, this.slider, this.alternative);
    this.canvas.addEventListener("pointerdown", (event) => this.drag(event, onseek));
  }

  drag(event, onseek) {
    const go = (one, isDone) => onseek(this.timeAt(one.offsetX), isDone);
    if (event.offsetX < GUTTER_PX - THUMB_PX) return;
    this.canvas.setPointerCapture(event.pointerId);
    go(event, false);
    const move = (one) => go(one, false);
    this.canvas.addEventListener("pointermove", move);
    this.canvas.addEventListener("pointerup", (one) => {
      this.canvas.removeEventListener("pointermove", move);
      go(one, true);
    }, { once: true });
  }

  x(t) {
    const end = this.endS || 1;
    return GUTTER_PX + THUMB_PX + (Math.min(Math.max(t, 0), end) / end) * (this.width - GUTTER_PX - 2 * THUMB_PX);
  }

  timeAt(px) {
    const share = (px - GUTTER_PX - THUMB_PX) / (this.width - GUTTER_PX - 2 * THUMB_PX);
    return Math.min(Math.max(share, 0), 1) * this.endS;
  }

  rows() {
    const alike = new Map();
    for (const way of this.story.changing) {
      const key = JSON.stringify(way.states), known = alike.get(key);
      if (known) known.more += 1; else alike.set(key, { name: way.name, states: way.states, more: 0 });
    }
    return [...alike.values()].map((row) => ({ ...row, name: row.more ? `${row.name} and ${row.more} more` : row.name }));
  }

  layOut(width, endS) {
    this.width = width;
    this.endS = endS;
    this.slider.max = endS;
    const all = this.rows();
    this.links = all.slice(0, MOST_ROWS);
    this.hidden = all.length - this.links.length;
    this.curves = ["people", "cars"].map((name) => [name, (this.story.replay.occupancy || {})[name]])
      .filter(([, rows]) => rows && rows.length);
    this.height = MARKS_PX + SLIDER_PX + (this.curves.length ? CURVE_PX : 0) + ROW_PX * (this.links.length + (this.hidden ? 1 : 0));
    this.element.style.height = `${this.height}px`;
    this.describe();
  }

  describe() {
    const ways = this.links.map((row) => `${row.name}: ${row.states.map(([t, state]) => `${state} from ${clockText(t, false)}`).join(", ")}`);
    this.alternative.textContent = `From 0 to ${clockText(this.endS, false)}. ${this.story.events.length} events. ${ways.join(". ")}`;
  }

  draw(t, palette, isNew) {
    this.slider.value = t;
    this.slider.setAttribute("aria-valuetext", clockText(t));
    if (isNew) this.drawStill(palette);
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const g = this.canvas.getContext("2d");
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (this.still) g.drawImage(this.still, 0, 0);
    g.scale(ratio, ratio);
    const x = this.x(t);
    g.fillStyle = palette.primary;
    g.fillRect(x - 0.75, MARKS_PX, 1.5, this.height - MARKS_PX);
  }

  drawStill(palette) {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const still = (this.still = document.createElement("canvas"));
    this.canvas.width = still.width = Math.round(this.width * ratio);
    this.canvas.height = still.height = Math.round(this.height * ratio);
    this.canvas.style.height = `${this.height}px`;
    const g = still.getContext("2d");
    g.scale(ratio, ratio);
    g.font = `12px ${palette.font}`;
    g.textBaseline = "middle";
    this.drawMarks(g, palette);
    const top = MARKS_PX + SLIDER_PX;
    if (this.curves.length) this.drawCurves(g, palette, top);
    this.drawRows(g, palette, top + (this.curves.length ? CURVE_PX : 0));
  }

  drawMarks(g, palette) {
    this.label(g, palette, "Events", MARKS_PX / 2);
    const seen = new Set();
    for (const group of MARK_ORDER) {
      g.fillStyle = palette[group];
      for (const event of this.story.events) {
        if (event.group !== group) continue;
        const x = this.x(event.at_s), key = `${group} ${Math.round(x)}`;
        if (seen.has(key)) continue;
        seen.add(key);
        drawMark(g, group, x, MARKS_PX / 2, group === "other" ? 4 : 5);
      }
    }
  }

  drawCurves(g, palette, top) {
    const bottom = top + CURVE_PX - 5;
    const colours = { people: palette.person, cars: palette.moving };
    this.curves.forEach(([name, rows], k) => {
      const most = Math.max(1, ...rows.map(([, value]) => value)), high = CURVE_PX - 10;
      g.beginPath();
      rows.forEach(([t, value], i) => {
        const x = this.x(t), y = bottom - (value / most) * high;
        if (i) g.lineTo(x, y); else g.moveTo(x, y);
      });
      g.lineTo(this.x(rows[rows.length - 1][0]), bottom);
      g.lineTo(this.x(rows[0][0]), bottom);
      g.closePath();
      g.globalAlpha = 0.13;
      g.fillStyle = colours[name];
      g.fill();
      g.globalAlpha = 1;
      g.beginPath();
      rows.forEach(([t, value], i) => {
        const x = this.x(t), y = bottom - (value / most) * high;
        if (i) g.lineTo(x, y); else g.moveTo(x, y);
      });
      g.lineWidth = 1.5;
      g.strokeStyle = colours[name];
      g.setLineDash(name === "cars" ? [4, 3] : []);
      g.stroke();
      g.setLineDash([]);
      g.fillStyle = colours[name];
      g.fillText(name === "people" ? "People inside" : "Cars inside", 0, top + 10 + k * 17);
    });
  }

  drawRows(g, palette, top) {
    this.links.forEach((row, k) => {
      const y = top + k * ROW_PX + ROW_PX / 2;
      this.label(g, palette, row.more ? `${row.more + 1} links` : row.name, y);
      g.fillStyle = palette.aisle;
      g.fillRect(this.x(0), y - 2, this.x(this.endS) - this.x(0), 4);
      row.states.forEach(([t, state], i) => {
        if (state === "up") return;
        const x = this.x(t), end = this.x(i + 1 < row.states.length ? row.states[i + 1][0] : this.story.knownS ?? this.endS);
        const isCut = sortOf(state) !== "degraded";
        g.fillStyle = isCut ? palette.danger : palette.alarm;
        g.fillRect(x, y - 6, Math.max(end - x, 2), 12);
        const width = g.measureText(state).width;
        if (width + 10 < end - x) {
          g.fillStyle = palette.isDark ? "#14100a" : "#fff";
          g.fillText(state, x + 6, y + 0.5);
        }
      });
    });
    if (this.hidden) this.label(g, palette, `${this.hidden} more`, top + this.links.length * ROW_PX + ROW_PX / 2);
  }

  label(g, palette, text, y) {
    g.fillStyle = palette.faint;
    g.fillText(shortened(g, text, GUTTER_PX - 10), 0, y);
  }
}

function shortened(g, text, width) {
  if (g.measureText(text).width <= width) return text;
  let kept = text;
  while (kept && g.measureText(`${kept}\u2026`).width > width) kept = kept.slice(0, -1);
  return `${kept}\u2026`;
}
