// The building: how levels share the canvas, and what of them never moves.

const HEAD_PX = 24, GAP_PX = 10;
const MARGIN_M = 1.5, ROAD_M = 7; // of a road that leads away, so much is shown
const MOST_ZOOM = 24;

// The box that every level is drawn in: the floors, and what sticks out of them.
function boxOf(story, bounds) {
  const floors = story.features.filter((each) => each.kind === "level");
  const base = floors.length ? floors.flatMap((each) => each.points) : bounds ? [[bounds[0], bounds[1]], [bounds[2], bounds[3]]] : [[0, 0], [1, 1]];
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  const grow = ([x, y]) => {
    box[0] = Math.min(box[0], x); box[1] = Math.min(box[1], y);
    box[2] = Math.max(box[2], x); box[3] = Math.max(box[3], y);
  };
  base.forEach(grow);
  const [x0, y0, x1, y1] = box;
  const near = ([x, y]) => [Math.min(Math.max(x, x0 - ROAD_M), x1 + ROAD_M), Math.min(Math.max(y, y0 - ROAD_M), y1 + ROAD_M)];
  for (const each of story.features) if (each.kind !== "assembly") each.points.map(near).forEach(grow);
  return [box[0] - MARGIN_M, box[1] - MARGIN_M, box[2] + MARGIN_M, box[3] + MARGIN_M];
}

// The height at which levels that stand in as many columns as there is room for fill the width.
function heightFor(count, width, box, least, most) {
  const columns = Math.min(count, width < 560 ? 1 : width < 1500 ? 2 : 3), rows = Math.ceil(count / columns);
  const scale = (width - GAP_PX * (columns - 1)) / columns / (box[2] - box[0]);
  const wanted = rows * (HEAD_PX + (box[3] - box[1]) * scale) + (rows - 1) * GAP_PX;
  return Math.round(Math.min(Math.max(wanted, least), most));
}

// As many columns as make the levels largest.
function gridOf(count, width, height, aspect) {
  let best = { scale: 0, columns: 1, rows: count };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const w = (width - GAP_PX * (columns - 1)) / columns, h = (height - GAP_PX * (rows - 1)) / rows - HEAD_PX;
    const scale = Math.min(w / aspect, h);
    if (scale > best.scale) best = { scale, columns, rows, w, h };
  }
  return best;
}

class Stage {
  constructor(story, bounds) {
    this.story = story;
    this.box = boxOf(story, bounds);
    this.levels = story.levels.length ? story.levels : ["plan"];
    this.zoom = 1;
    this.centre = [(this.box[0] + this.box[2]) / 2, (this.box[1] + this.box[3]) / 2];
    this.shown = "";
    this.panels = [];
    this.perLevel = new Map(this.levels.map((level) => [level, story.features.filter(
      (each) => each.level === level || each.to_level === level)]));
    this.lanes = new Map();
    for (const gate of story.features.filter((each) => each.kind === "gate")) this.lanes.set(gate.id, this.laneAt(gate));
  }

  // Which way the road runs through a gate, as a unit vector.
  laneAt(gate) {
    const [x, y] = gate.points[0];
    for (const way of this.story.features) {
      if (way.kind !== "road" && way.kind !== "aisle") continue;
      for (let i = 1; i < way.points.length; i++) {
        const [ax, ay] = way.points[i - 1], [bx, by] = way.points[i];
        const isNear = Math.hypot(ax - x, ay - y) < 0.6 || Math.hypot(bx - x, by - y) < 0.6;
        const long = Math.hypot(bx - ax, by - ay);
        if (isNear && long > 0.5 && way.kind === "road") return [(bx - ax) / long, (by - ay) / long];
      }
    }
    return [1, 0];
  }

  layOut(width, height) {
    this.width = width;
    this.height = height;
    const levels = this.shown ? [this.shown] : this.levels;
    const aspect = (this.box[2] - this.box[0]) / (this.box[3] - this.box[1]);
    const grid = gridOf(levels.length, width, height, aspect);
    this.fit = grid.scale / (this.box[3] - this.box[1]);
    this.panels = levels.map((level, k) => {
      const column = k % grid.columns, row = Math.floor(k / grid.columns);
      return {
        level, index: this.levels.indexOf(level),
        x: column * (grid.w + GAP_PX), y: row * (grid.h + HEAD_PX + GAP_PX) + HEAD_PX, w: grid.w, h: grid.h,
      };
    });
    const used = levels.length % grid.columns;
    this.spare = used && levels.length > 1 ? {
      x: used * (grid.w + GAP_PX), y: (grid.rows - 1) * (grid.h + HEAD_PX + GAP_PX) + HEAD_PX,
      w: width - used * (grid.w + GAP_PX), h: grid.h,
    } : null;
    this.version = (this.version || 0) + 1;
  }

  get scale() { return this.fit * this.zoom; }

  toScreen(panel, x, y) {
    const s = this.scale;
    return [panel.x + panel.w / 2 + (x - this.centre[0]) * s, panel.y + panel.h / 2 - (y - this.centre[1]) * s];
  }

  toWorld(panel, px, py) {
    const s = this.scale;
    return [this.centre[0] + (px - panel.x - panel.w / 2) / s, this.centre[1] - (py - panel.y - panel.h / 2) / s];
  }

  panelAt(px, py) {
    return this.panels.find((p) => px >= p.x && px <= p.x + p.w && py >= p.y - HEAD_PX && py <= p.y + p.h) || null;
  }

  lookAt(x, y, zoom = this.zoom) {
    this.zoom = Math.min(Math.max(zoom, 1), MOST_ZOOM);
    const panel = this.panels[0];
    if (!panel) return;
    const clamp = (value, low, high, seen) => {
      const half = seen / 2;
      return high - low <= seen ? (low + high) / 2 : Math.min(Math.max(value, low + half), high - half);
    };
    this.centre = [
      clamp(x, this.box[0], this.box[2], panel.w / this.scale),
      clamp(y, this.box[1], this.box[3], panel.h / this.scale),
    ];
    this.version += 1;
  }

  zoomAt(panel, px, py, factor) {
    const [x, y] = this.toWorld(panel, px, py);
    const zoom = Math.min(Math.max(this.zoom * factor, 1), MOST_ZOOM);
    const kept = this.zoom / zoom;
    this.lookAt(x + (this.centre[0] - x) * kept, y + (this.centre[1] - y) * kept, zoom);
  }

  reset() {
    this.lookAt((this.box[0] + this.box[2]) / 2, (this.box[1] + this.box[3]) / 2, 1);
  }
}

// What stands still -------------------------------------------------------------------------------

const STILL = ["road", "ramp", "level", "aisle", "bay", "stair", "lift", "assembly"];

function drawStill(g, stage, palette) {
  for (const panel of stage.panels) {
    g.save();
    g.beginPath();
    g.rect(panel.x, panel.y, panel.w, panel.h);
    g.clip();
    const features = stage.perLevel.get(panel.level) || [];
    for (const kind of STILL) for (const each of features) if (each.kind === kind) STILL_SHAPES[kind](g, stage, panel, each, palette);
    g.restore();
  }
}

function trace(g, stage, panel, points) {
  points.forEach(([x, y], k) => {
    const [px, py] = stage.toScreen(panel, x, y);
    if (k) g.lineTo(px, py); else g.moveTo(px, py);
  });
}

function drawWay(g, stage, panel, way, palette, colour) {
  const s = stage.scale, width = ((way.size && way.size[0]) || 3) * s;
  g.beginPath();
  trace(g, stage, panel, way.points);
  g.lineWidth = width;
  g.lineCap = way.kind === "aisle" ? "square" : "butt";
  g.strokeStyle = colour;
  g.stroke();
  g.lineCap = "butt";
}

function drawChevrons(g, stage, panel, way, palette) {
  const s = stage.scale, size = Math.min(Math.max(0.8 * s, 3), 12);
  for (let i = 1; i < way.points.length; i++) {
    const [ax, ay] = way.points[i - 1], [bx, by] = way.points[i], long = Math.hypot(bx - ax, by - ay);
    const angle = -Math.atan2(by - ay, bx - ax);
    for (let d = 4; d < long; d += 8) {
      const [px, py] = stage.toScreen(panel, ax + ((bx - ax) * d) / long, ay + ((by - ay) * d) / long);
      const cos = Math.cos(angle), sin = Math.sin(angle);
      g.moveTo(px + (-cos + sin) * size * 0.6, py + (-sin - cos) * size * 0.6);
      g.lineTo(px + cos * size * 0.5, py + sin * size * 0.5);
      g.lineTo(px + (-cos - sin) * size * 0.6, py + (-sin + cos) * size * 0.6);
    }
  }
}

const STILL_SHAPES = {
  level(g, stage, panel, each, palette) {
    g.beginPath();
    trace(g, stage, panel, each.points);
    g.closePath();
    g.fillStyle = palette.floor;
    g.fill();
    g.lineWidth = Math.min(Math.max(0.25 * stage.scale, 1.25), 4);
    g.strokeStyle = palette.wall;
    g.stroke();
  },
  road(g, stage, panel, each, palette) {
    if (each.level === panel.level) drawWay(g, stage, panel, each, palette, palette.aisle);
  },
  aisle(g, stage, panel, each, palette) {
    drawWay(g, stage, panel, { ...each, size: each.size && each.size.length ? each.size : [6] }, palette, palette.aisle);
    g.beginPath();
    trace(g, stage, panel, each.points);
    const dash = Math.max(1.2 * stage.scale, 4);
    g.setLineDash([dash, dash * 1.3]);
    g.lineWidth = Math.min(Math.max(0.12 * stage.scale, 0.75), 2);
    g.strokeStyle = palette.dash;
    g.stroke();
    g.setLineDash([]);
  },
  ramp(g, stage, panel, each, palette) {
    drawWay(g, stage, panel, each, palette, palette.aisle);
    g.beginPath();
    drawChevrons(g, stage, panel, each, palette);
    g.lineWidth = 1.25;
    g.strokeStyle = palette.dash;
    g.stroke();
  },
  bay(g, stage, panel, each, palette) {
    const [w, h] = each.size && each.size.length === 2 ? each.size : [2.4, 4.8];
    const [x, y] = each.points[0], s = stage.scale;
    const [px, py] = stage.toScreen(panel, x - w / 2, y + h / 2);
    g.lineWidth = 1;
    g.strokeStyle = palette.bay;
    g.strokeRect(px + 0.5, py + 0.5, w * s - 1, h * s - 1);
  },
  stair(g, stage, panel, each, palette) {
    if (each.level !== panel.level) return;
    const [px, py] = stage.toScreen(panel, ...each.points[0]);
    const size = Math.min(Math.max(1.1 * stage.scale, 5), 26);
    g.lineWidth = 1;
    g.strokeStyle = palette.wall;
    g.beginPath();
    for (let i = -2; i <= 2; i++) {
      g.moveTo(px - size, py + (i * size) / 2.5);
      g.lineTo(px + size, py + (i * size) / 2.5);
    }
    g.rect(px - size, py - size, 2 * size, 2 * size);
    g.stroke();
  },
  lift(g, stage, panel, each, palette) {
    const [px, py] = stage.toScreen(panel, ...each.points[0]);
    const size = Math.min(Math.max(0.8 * stage.scale, 4), 20);
    g.lineWidth = 1;
    g.strokeStyle = palette.wall;
    g.strokeRect(px - size, py - size, 2 * size, 2 * size);
    g.beginPath();
    g.moveTo(px - size, py - size); g.lineTo(px + size, py + size);
    g.moveTo(px + size, py - size); g.lineTo(px - size, py + size);
    g.stroke();
  },
  assembly(g, stage, panel, each, palette) {
    const [px, py] = stage.toScreen(panel, ...each.points[0]);
    g.fillStyle = palette.motion;
    g.beginPath();
    g.arc(px, py, 5, 0, 2 * Math.PI);
    g.fill();
  },
};

function drawHeads(g, stage, palette, textOf, isActive) {
  g.textBaseline = "middle";
  for (const panel of stage.panels) {
    const y = panel.y - HEAD_PX / 2;
    g.font = `600 13px ${palette.font}`;
    g.fillStyle = palette.text;
    g.textAlign = "left";
    g.fillText(panel.level, panel.x, y);
    const left = panel.x + g.measureText(panel.level).width + 12;
    g.font = `12px ${palette.font}`;
    let at = left;
    for (const [text, colour] of textOf(panel)) {
      const width = g.measureText(text).width;
      if (at + width > panel.x + panel.w) break;
      g.fillStyle = colour;
      g.fillText(text, at, y);
      at += width + 14;
    }
  }
}
