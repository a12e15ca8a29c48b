// What changes: cars and people, fire and smoke, devices, gates and queues.

const CAR_M = [4.4, 1.8];
const PERSON_M = 0.42;
const GATE_REACH_M = 40;
const MOST_SHAPED = 400, PLAIN_PX = 14; // cars, and half the length of one, up to which they are drawn in full
const MOST_SPRITES = 800; // people; more are drawn plainly

// A car's outline in units of its half length and half width, nose to the right.
const BODY = [[-0.92, -1], [0.8, -1], [1, -0.6], [1, 0.6], [0.8, 1], [-0.92, 1], [-1, 0.8], [-1, -0.8]];
const ROUND_BODY = [
  [-0.9, -1], [0.76, -1], [0.9, -0.9], [0.97, -0.72], [1, -0.42], [1, 0.42], [0.97, 0.72], [0.9, 0.9], [0.76, 1], [-0.9, 1],
  [-0.97, 0.9], [-1, 0.72], [-1, -0.72], [-0.97, -0.9],
];
const GLASS = [[0.12, -0.74], [0.44, -0.62], [0.47, 0], [0.44, 0.62], [0.12, 0.74]];
const REAR_GLASS = [[-0.62, -0.7], [-0.76, -0.58], [-0.76, 0.58], [-0.62, 0.7]];
const ROUND_PX = 10; // half a length from which corners are seen

class Crowd {
  constructor() {
    this.sprites = new Map();
  }

  // All cars and people of a panel, a path for each state of cars and a sprite for each state of people.
  draw(g, stage, panel, trajectory, now, palette, look) {
    const s = stage.scale;
    const ox = panel.x + panel.w / 2 - stage.centre[0] * s, oy = panel.y + panel.h / 2 + stage.centre[1] * s;
    const long = Math.max(CAR_M[0] * s, 5) / 2, wide = Math.max(CAR_M[1] * s, 2.5) / 2;
    const edge = long + 2, left = panel.x - edge, right = panel.x + panel.w + edge;
    const top = panel.y - edge, bottom = panel.y + panel.h + edge;
    const fills = [null, palette.rest, palette.moving, palette.queueing];
    const isRound = long > ROUND_PX, shape = isRound ? ROUND_BODY : BODY;
    const { x, y, level, state, heading } = now;
    if (look.cars && trajectory.cars > MOST_SHAPED && long < PLAIN_PX) {
      this.jammed(g, panel, trajectory, now, palette, fills, ox, oy, s, long, wide);
    } else if (look.cars) {
      for (let sort = RESTING; sort <= QUEUEING; sort++) {
        const body = new Path2D(), glass = long > 6 ? new Path2D() : null;
        let count = 0;
        for (let i = 0; i < trajectory.cars; i++) {
          if (state[i] !== sort || level[i] !== panel.index) continue;
          const px = ox + x[i] * s, py = oy - y[i] * s;
          if (px < left || px > right || py < top || py > bottom) continue;
          const cos = Math.cos(heading[i]), sin = -Math.sin(heading[i]);
          outline(body, shape, px, py, cos * long, sin * long, -sin * wide, cos * wide);
          if (glass) outline(glass, GLASS, px, py, cos * long, sin * long, -sin * wide, cos * wide);
          if (glass && isRound) outline(glass, REAR_GLASS, px, py, cos * long, sin * long, -sin * wide, cos * wide);
          count++;
        }
        if (!count) continue;
        g.fillStyle = fills[sort];
        g.fill(body);
        if (glass) { g.fillStyle = palette.glass; g.fill(glass); }
      }
    }
    if (look.people) this.people(g, stage, panel, trajectory, now, palette, ox, oy);
  }

  // Very many cars: those that stand along an axis, and most do, are two rectangles each; the others are shapes.
  jammed(g, panel, trajectory, now, palette, fills, ox, oy, s, long, wide) {
    const { x, y, level, state, heading } = now, quarter = Math.PI / 2;
    const left = panel.x - long, right = panel.x + panel.w + long, top = panel.y - long, bottom = panel.y + panel.h + long;
    for (let sort = RESTING; sort <= QUEUEING; sort++) {
      const turned = new Path2D();
      g.fillStyle = fills[sort];
      for (let i = 0; i < trajectory.cars; i++) {
        if (state[i] !== sort || level[i] !== panel.index) continue;
        const px = ox + x[i] * s, py = oy - y[i] * s;
        if (px < left || px > right || py < top || py > bottom) continue;
        const turns = heading[i] / quarter, whole = Math.round(turns);
        if (Math.abs(turns - whole) > 0.06) {
          const cos = Math.cos(heading[i]), sin = -Math.sin(heading[i]);
          outline(turned, BODY, px, py, cos * long, sin * long, -sin * wide, cos * wide);
        } else if (whole % 2) g.fillRect(px - wide, py - long, 2 * wide, 2 * long);
        else g.fillRect(px - long, py - wide, 2 * long, 2 * wide);
      }
      g.fill(turned);
    }
    if (long > 6) this.windows(g, panel, trajectory, now, palette, ox, oy, s, long, wide);
  }

  windows(g, panel, trajectory, now, palette, ox, oy, s, long, wide) {
    const { x, y, level, state, heading } = now, quarter = Math.PI / 2, deep = long * 0.34, across = wide * 1.4;
    g.fillStyle = palette.glass;
    for (let i = 0; i < trajectory.cars; i++) {
      if (!state[i] || level[i] !== panel.index) continue;
      const whole = Math.round(heading[i] / quarter) & 3, ahead = long * 0.29;
      const px = ox + x[i] * s + (whole === 0 ? ahead : whole === 2 ? -ahead : 0);
      const py = oy - y[i] * s - (whole === 1 ? ahead : whole === 3 ? -ahead : 0);
      const [w, h] = whole % 2 ? [across, deep] : [deep, across];
      if (px > panel.x && px < panel.x + panel.w && py > panel.y && py < panel.y + panel.h) g.fillRect(px - w / 2, py - h / 2, w, h);
    }
  }

  people(g, stage, panel, trajectory, now, palette, ox, oy) {
    const s = stage.scale, radius = Math.min(Math.max(PERSON_M * s, 2.2), 14);
    const { x, y, level, state } = now;
    const left = panel.x - radius, right = panel.x + panel.w + radius;
    const top = panel.y - radius, bottom = panel.y + panel.h + radius;
    const fills = [null, palette.personRest, palette.person, palette.queueing];
    if (trajectory.people > MOST_SPRITES && radius < 5) { this.crowded(g, panel, trajectory, now, fills, ox, oy, s, radius); return; }
    for (let sort = RESTING; sort <= QUEUEING; sort++) {
      const sprite = this.sprite(fills[sort], palette.halo, radius);
      const half = sprite.half, size = half * 2;
      for (let i = trajectory.cars; i < trajectory.count; i++) {
        if (state[i] !== sort || level[i] !== panel.index) continue;
        const px = ox + x[i] * s, py = oy - y[i] * s;
        if (px < left || px > right || py < top || py > bottom) continue;
        g.drawImage(sprite.image, px - half, py - half, size, size);
      }
    }
  }

  // Very many people are two bars each, which look round and cost little.
  crowded(g, panel, trajectory, now, fills, ox, oy, s, radius) {
    const { x, y, level, state } = now, long = Math.round(radius * 2), short = Math.max(long - 2, 1);
    const left = panel.x - long, right = panel.x + panel.w, top = panel.y - long, bottom = panel.y + panel.h;
    for (let sort = RESTING; sort <= QUEUEING; sort++) {
      g.fillStyle = fills[sort];
      for (let i = trajectory.cars; i < trajectory.count; i++) {
        if (state[i] !== sort || level[i] !== panel.index) continue;
        const px = Math.round(ox + x[i] * s - radius), py = Math.round(oy - y[i] * s - radius);
        if (px < left || px > right || py < top || py > bottom) continue;
        g.fillRect(px, py + 1, long, short);
        g.fillRect(px + 1, py, short, long);
      }
    }
  }

  sprite(fill, halo, radius) {
    const r = Math.round(radius * 4) / 4, key = `${fill} ${halo} ${r}`;
    let found = this.sprites.get(key);
    if (found) return found;
    if (this.sprites.size > 60) this.sprites.clear();
    const ratio = Math.min(window.devicePixelRatio || 1, 2), half = Math.ceil(r + 1.5);
    const image = document.createElement("canvas");
    image.width = image.height = half * 2 * ratio;
    const g = image.getContext("2d");
    g.scale(ratio, ratio);
    g.fillStyle = halo;
    g.beginPath(); g.arc(half, half, r + 0.8, 0, 7); g.fill();
    g.fillStyle = fill;
    g.beginPath(); g.arc(half, half, r, 0, 7); g.fill();
    found = { image, half };
    this.sprites.set(key, found);
    return found;
  }
}

function outline(path, shape, px, py, ax, ay, bx, by) {
  for (let k = 0; k < shape.length; k++) {
    const [u, v] = shape[k];
    const X = px + u * ax + v * bx, Y = py + u * ay + v * by;
    if (k) path.lineTo(X, Y); else path.moveTo(X, Y);
  }
  path.closePath();
}

// Smoke and fire ----------------------------------------------------------------------------------

let smokeTile = null, smokeTileOf = "";
function smokePattern(g, palette) {
  if (smokeTileOf !== palette.smoke) {
    const size = 160, canvas = document.createElement("canvas");
    canvas.width = canvas.height = size;
    const t = canvas.getContext("2d");
    t.fillStyle = `rgba(${palette.smoke},.62)`;
    t.fillRect(0, 0, size, size);
    for (let i = 0; i < 26; i++) {
      const x = (i * 97) % size, y = (i * 61 + 17) % size, r = 18 + ((i * 37) % 30);
      for (const dx of [-size, 0, size]) for (const dy of [-size, 0, size]) {
        const glow = t.createRadialGradient(x + dx, y + dy, 0, x + dx, y + dy, r);
        glow.addColorStop(0, `rgba(${palette.smoke},.22)`);
        glow.addColorStop(1, `rgba(${palette.smoke},0)`);
        t.fillStyle = glow;
        t.fillRect(x + dx - r, y + dy - r, 2 * r, 2 * r);
      }
    }
    smokeTile = canvas;
    smokeTileOf = palette.smoke;
  }
  return g.createPattern(smokeTile, "repeat");
}

// How much smoke there is to see, 0..1: how far one cannot look, and how low it hangs.
function smokeShare(smoke) {
  if (!smoke) return 0;
  const sight = smoke.visibility === Infinity ? 0 : Math.min(Math.max((30 - smoke.visibility) / 28, 0), 1);
  const depth = smoke.height == null ? 1 : Math.min(Math.max((3 - smoke.height) / 2.5, 0.12), 1);
  return sight * depth;
}

function drawSmoke(g, stage, panel, smoke, palette, t, isCalm) {
  const share = smokeShare(smoke);
  const floor = (stage.perLevel.get(panel.level) || []).find((each) => each.kind === "level" && each.level === panel.level);
  if (share < 0.01 || !floor) return;
  g.save();
  g.beginPath();
  trace(g, stage, panel, floor.points);
  g.closePath();
  g.clip();
  g.globalAlpha = 0.12 + 0.72 * share;
  const drift = isCalm ? 0 : (t * 3) % 160;
  g.translate(drift, -drift / 2);
  g.fillStyle = smokePattern(g, palette);
  g.fillRect(panel.x - 200, panel.y - 200, panel.w + 400, panel.h + 400);
  g.restore();
}

function drawFire(g, stage, panel, fire, palette, t, isCalm) {
  if (!fire || !fire.feature || fire.feature.level !== panel.level || t < fire.atS) return;
  const [px, py] = stage.toScreen(panel, ...fire.feature.points[0]);
  const grown = Math.min((t - fire.atS) / 240, 1), flicker = isCalm ? 1 : 1 + 0.06 * Math.sin(t * 9) + 0.04 * Math.sin(t * 23);
  const radius = Math.max((2.5 + 5 * grown) * stage.scale, 12) * flicker;
  const glow = g.createRadialGradient(px, py, 0, px, py, radius);
  glow.addColorStop(0, "rgba(255,190,70,.95)");
  glow.addColorStop(0.35, "rgba(242,96,38,.75)");
  glow.addColorStop(1, "rgba(214,48,20,0)");
  g.fillStyle = glow;
  g.beginPath();
  g.arc(px, py, radius, 0, 7);
  g.fill();
  const size = Math.min(Math.max(stage.scale * 1.3, 7), 18);
  g.save();
  g.translate(px, py);
  g.scale(size / 10, size / 10);
  g.beginPath();
  g.moveTo(1, -12);
  g.bezierCurveTo(2, -7, 8, -4, 8, 3); g.bezierCurveTo(8, 8, 4, 11, 0, 11); g.bezierCurveTo(-5, 11, -8, 7, -8, 3);
  g.bezierCurveTo(-8, 0, -6, -3, -4, -5); g.bezierCurveTo(-4, -3, -3, -1, -1.5, -1); g.bezierCurveTo(-2.5, -5, -1.5, -9, 1, -12);
  g.fillStyle = palette.danger;
  g.fill();
  g.lineWidth = 1.2;
  g.strokeStyle = "#fff";
  g.stroke();
  g.restore();
}

// Doors, gates and devices ------------------------------------------------------------------------

function drawDoors(g, stage, panel, palette) {
  const size = Math.min(Math.max(0.7 * stage.scale, 3), 11);
  for (const each of stage.perLevel.get(panel.level) || []) {
    if ((each.kind !== "door" && each.kind !== "exit") || each.level !== panel.level) continue;
    const [px, py] = stage.toScreen(panel, ...each.points[0]);
    g.fillStyle = palette.open;
    g.fillRect(px - size, py - size, 2 * size, 2 * size);
    if (each.kind === "exit" && size >= 3) {
      g.strokeStyle = "#fff";
      g.lineWidth = Math.max(size / 4, 1);
      g.beginPath();
      g.moveTo(px - size * 0.5, py); g.lineTo(px + size * 0.5, py);
      g.moveTo(px + size * 0.1, py - size * 0.4); g.lineTo(px + size * 0.5, py); g.lineTo(px + size * 0.1, py + size * 0.4);
      g.stroke();
    }
  }
}

function drawGate(g, stage, panel, gate, sort, palette) {
  const [dx, dy] = stage.lanes.get(gate.id) || [1, 0], [x, y] = gate.points[0];
  const half = Math.max(1.9, 7 / stage.scale);
  const [hx, hy] = stage.toScreen(panel, x - dy * half, y + dx * half);
  const [ex, ey] = stage.toScreen(panel, x + dy * half, y - dx * half);
  const angle = sort === "open" ? 1.35 : sort === "moving" ? 0.7 : 0;
  const vx = ex - hx, vy = ey - hy, cos = Math.cos(angle), sin = Math.sin(angle);
  const tx = hx + vx * cos - vy * sin, ty = hy + vx * sin + vy * cos;
  const colour = sort === "open" ? palette.open : sort === "moving" ? palette.alarm : palette.closed;
  const width = Math.min(Math.max(0.45 * stage.scale, 3), 8);
  g.lineCap = "round";
  g.lineWidth = width + 2.5;
  g.strokeStyle = palette.halo;
  g.beginPath(); g.moveTo(hx, hy); g.lineTo(tx, ty); g.stroke();
  g.lineWidth = width;
  g.strokeStyle = colour;
  g.beginPath(); g.moveTo(hx, hy); g.lineTo(tx, ty); g.stroke();
  if (sort !== "open") {
    g.lineWidth = width * 0.5;
    g.strokeStyle = "#fff";
    g.setLineDash([width, width * 1.6]);
    g.beginPath(); g.moveTo(hx, hy); g.lineTo(tx, ty); g.stroke();
    g.setLineDash([]);
  }
  g.lineCap = "butt";
  g.fillStyle = palette.wall;
  g.beginPath(); g.arc(hx, hy, width * 0.8, 0, 7); g.fill();
}

const GLYPHS = {
  detector(g, r) { g.arc(0, 0, r * 0.75, 0, 7); },
  sensor(g, r) { g.rect(-r * 0.6, -r * 0.6, r * 1.2, r * 1.2); },
  gateway(g, r) { g.rect(-r, -r * 0.7, r * 2, r * 1.4); },
  sounder(g, r) {
    g.moveTo(-r, -r * 0.4); g.lineTo(-r * 0.3, -r * 0.4); g.lineTo(r * 0.6, -r); g.lineTo(r * 0.6, r);
    g.lineTo(-r * 0.3, r * 0.4); g.lineTo(-r, r * 0.4); g.closePath();
  },
  sign(g, r) { g.rect(-r * 1.2, -r * 0.7, r * 2.4, r * 1.4); },
  fan(g, r) {
    for (let k = 0; k < 3; k++) {
      const a = (k * 2 * Math.PI) / 3;
      g.moveTo(0, 0);
      g.arc(Math.cos(a) * r * 0.55, Math.sin(a) * r * 0.55, r * 0.5, 0, 7);
    }
  },
  camera(g, r) { g.rect(-r, -r * 0.55, r * 1.3, r * 1.1); g.moveTo(r * 0.3, 0); g.lineTo(r, -r * 0.6); g.lineTo(r, r * 0.6); g.closePath(); },
};

function glyphOf(device) {
  const word = `${device.kind} ${device.fleet}`.toLowerCase();
  for (const [pattern, glyph] of [
    [/smoke|detector|heat/, "detector"], [/sounder|siren/, "sounder"], [/sign|vms|display/, "sign"], [/fan/, "fan"],
    [/gateway|broker|edge/, "gateway"], [/camera|anpr|plate/, "camera"],
  ]) if (pattern.test(word)) return glyph;
  return "sensor";
}

const LOUD = { alarm: "danger", active: "alarm", dead: "faint", open: "open", moving: "alarm", closed: "closed" };

function drawDevices(g, stage, panel, story, palette, t, isCalm) {
  const base = Math.min(Math.max(0.5 * stage.scale, 2.4), 9);
  const loud = [];
  for (const device of story.drawn.get(panel.level) || []) {
    const sort = story.sortOf(device, t);
    if (sort === "alarm" || sort === "active" || sort === "dead") { loud.push([device, sort]); continue; }
    drawDevice(g, stage, panel, device, base, palette, null);
  }
  for (const [device, sort] of loud) {
    const [px, py] = deviceAt(stage, panel, device);
    const r = Math.max(base * 1.35, 4), colour = palette[LOUD[sort]];
    if (sort !== "dead") {
      const pulse = isCalm ? 0.5 : (t * 0.9) % 1;
      g.strokeStyle = colour;
      g.globalAlpha = 1 - pulse * 0.85;
      g.lineWidth = 1.5;
      g.beginPath(); g.arc(px, py, r * (1.3 + pulse * 1.2), 0, 7); g.stroke();
      g.globalAlpha = 1;
    }
    drawDevice(g, stage, panel, device, r, palette, colour);
    if (sort === "dead") {
      g.strokeStyle = palette.danger;
      g.lineWidth = 1.75;
      g.beginPath(); g.moveTo(px - r, py - r); g.lineTo(px + r, py + r); g.moveTo(px + r, py - r); g.lineTo(px - r, py + r); g.stroke();
    }
  }
}

function deviceAt(stage, panel, device) {
  const [px, py] = stage.toScreen(panel, device.x, device.y);
  return [px + (device.beside || 0) * Math.min(Math.max(stage.scale * 1.1, 5), 18), py];
}

function drawDevice(g, stage, panel, device, r, palette, fill) {
  const [px, py] = deviceAt(stage, panel, device);
  if (px < panel.x - 20 || px > panel.x + panel.w + 20 || py < panel.y - 20 || py > panel.y + panel.h + 20) return;
  g.save();
  g.translate(px, py);
  g.beginPath();
  GLYPHS[glyphOf(device)](g, r);
  g.fillStyle = fill || palette.floor;
  g.fill();
  g.lineWidth = fill ? 1.5 : 1.1;
  g.strokeStyle = fill ? palette.halo : palette.device;
  g.stroke();
  g.restore();
}

function isGate(device) {
  return /gate(?!way)|boom|barrier/.test(device.kind);
}

function drawGates(g, stage, panel, story, palette, t) {
  for (const each of stage.perLevel.get(panel.level) || []) {
    if (each.kind !== "gate" || each.level !== panel.level) continue;
    const device = story.gates.get(each.id);
    drawGate(g, stage, panel, each, device ? sortOf(story.stateOf(device, t)) : "closed", palette);
  }
}

// Queues of a level where they stand; those too near to be told apart are one.
function bubbles(stage, panel, story, atGates, t) {
  const found = [];
  const add = (feature, count, isEnd) => {
    const [px, py] = stage.toScreen(panel, ...feature.points[isEnd ? feature.points.length - 1 : 0]);
    const near = found.find((each) => Math.hypot(each.px - px, each.py - py) < 30);
    if (near) near.count += count; else found.push({ px, py, count });
  };
  for (const [queue, count] of story.queuesNow(t)) {
    const feature = queue.feature;
    if (feature && feature.level === panel.level && feature.kind !== "aisle") add(feature, count, true);
  }
  for (const [gate, count] of atGates) if (gate.level === panel.level && !story.queued.has(gate.id)) add(gate, count, false);
  return found;
}

// Cars that queue nearest to each gate, no further away than a queue is long: where nobody counts its line.
function countAtGates(story, trajectory, now, stage) {
  const gates = story.features.filter((each) => each.kind === "gate").map((each) => [each, 0, stage.levels.indexOf(each.level)]);
  if (!gates.length || !trajectory) return gates;
  for (let i = 0; i < trajectory.cars; i++) {
    if (now.state[i] !== QUEUEING) continue;
    let best = null, distance = GATE_REACH_M;
    for (const gate of gates) {
      const d = gate[2] === now.level[i] ? Math.hypot(gate[0].points[0][0] - now.x[i], gate[0].points[0][1] - now.y[i]) : Infinity;
      if (d < distance) { distance = d; best = gate; }
    }
    if (best) best[1] += 1;
  }
  return gates.filter(([, count]) => count);
}

// How many wait: a bubble that grows with the queue, with the number in it.
function drawQueues(g, stage, panel, story, palette, t, atGates) {
  g.textAlign = "center";
  g.textBaseline = "middle";
  for (const { px, py, count } of bubbles(stage, panel, story, atGates, t)) {
    if (px < panel.x - 4 || px > panel.x + panel.w + 4 || py < panel.y - 4 || py > panel.y + panel.h + 4) continue;
    const text = String(Math.round(count)), r = Math.min(9 + Math.sqrt(count) * 1.1, 20);
    const x = Math.min(Math.max(px + r + 5, panel.x + r + 2), panel.x + panel.w - r - 2);
    const y = Math.min(Math.max(py - r - 5, panel.y + r + 2), panel.y + panel.h - r - 2);
    g.fillStyle = palette.halo;
    g.beginPath(); g.arc(x, y, r + 1.5, 0, 7); g.fill();
    g.fillStyle = palette.queueing;
    g.beginPath(); g.arc(x, y, r, 0, 7); g.fill();
    g.fillStyle = palette.isDark ? "#14100a" : "#fff";
    g.font = `600 ${Math.round(Math.min(9 + r / 4, 13))}px ${palette.font}`;
    g.fillText(text, x, y + 0.5);
  }
  g.textAlign = "left";
}
