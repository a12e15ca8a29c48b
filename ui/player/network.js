// The plan of a system without a building: fleets, gateways and services, joined by their links.

const NODE_W = 148, NODE_H = 40;

class Network {
  constructor(story) {
    this.story = story;
    this.groups = new Map(); // name -> {name, devices}
    const sizes = new Map();
    for (const each of story.devices) sizes.set(each.fleet, (sizes.get(each.fleet) || 0) + 1);
    this.groupOf = new Map();
    for (const each of story.devices) {
      const name = each.fleet && sizes.get(each.fleet) > 4 ? each.fleet : each.node;
      this.groupOf.set(each.node, name);
      this.at(name).devices.push(each);
    }
    this.edges = new Map();
    for (const link of story.links) {
      const ends = [link.source, link.to].map((node) => this.groupOf.get(node) || this.at(node).name).sort();
      if (ends[0] === ends[1]) continue;
      const key = JSON.stringify(ends);
      if (!this.edges.has(key)) this.edges.set(key, { ends, links: [] });
      this.edges.get(key).links.push(link);
    }
    this.rank();
  }

  at(name) {
    if (!this.groups.has(name)) this.groups.set(name, { name, devices: [], column: -1 });
    return this.groups.get(name);
  }

  // Fleets stand left; everything else as many steps from them as there are links.
  rank() {
    const near = new Map([...this.groups.keys()].map((name) => [name, []]));
    for (const { ends: [a, b] } of this.edges.values()) { near.get(a).push(b); near.get(b).push(a); }
    const groups = [...this.groups.values()];
    let front = groups.filter((each) => each.devices.some((device) => device.fleet));
    if (!front.length) front = groups.filter((each) => near.get(each.name).length <= 1).slice(0, 8);
    if (!front.length) front = groups.slice(0, 1);
    front.forEach((each) => { each.column = 0; });
    while (front.length) {
      const next = [];
      for (const each of front) for (const name of near.get(each.name)) {
        const other = this.groups.get(name);
        if (other.column < 0) { other.column = each.column + 1; next.push(other); }
      }
      front = next;
    }
    const last = Math.max(0, ...groups.map((each) => each.column));
    groups.forEach((each) => { if (each.column < 0) each.column = last; });
    this.columns = [];
    for (const each of groups) (this.columns[each.column] = this.columns[each.column] || []).push(each);
    this.columns = this.columns.filter(Boolean);
  }

  get tallest() { return Math.max(...this.columns.map((column) => column.length), 1); }

  layOut(width, height) {
    const step = (width - NODE_W - 24) / Math.max(1, this.columns.length - 1);
    this.columns.forEach((column, c) => column.forEach((each, r) => {
      each.x = this.columns.length === 1 ? width / 2 : 12 + NODE_W / 2 + c * step;
      each.y = (height / (column.length + 1)) * (r + 1);
      each.h = Math.min(NODE_H, height / (column.length + 1) - 4);
    }));
  }

  stateText(group, t) {
    if (!group.devices.length) return "";
    if (group.devices.length === 1) return this.story.stateOf(group.devices[0], t);
    const counts = new Map();
    for (const each of group.devices) {
      const text = this.story.stateOf(each, t);
      if (text) counts.set(text, (counts.get(text) || 0) + 1);
    }
    const loud = [...counts].sort((a, b) => a[1] - b[1])[0];
    return loud ? `${loud[1]} of ${group.devices.length} ${loud[0]}` : `${group.devices.length} devices`;
  }

  edgeState(edge, t) {
    const states = edge.links.map((link) => valueAt(link.states, t, "up")).filter((state) => state !== "up");
    return states.find((state) => sortOf(state) !== "degraded") || states[0] || "up";
  }

  draw(g, palette, t, selected) {
    g.font = `12px ${palette.font}`;
    g.textBaseline = "middle";
    g.textAlign = "center";
    for (const edge of this.edges.values()) {
      const [a, b] = edge.ends.map((name) => this.groups.get(name)), state = this.edgeState(edge, t);
      const isUp = state === "up";
      g.strokeStyle = isUp ? palette.dash : sortOf(state) === "degraded" ? palette.alarm : palette.danger;
      g.lineWidth = isUp ? 1.5 : 2.5;
      g.setLineDash(isUp ? [] : [7, 6]);
      g.beginPath(); g.moveTo(a.x, a.y); g.lineTo(b.x, b.y); g.stroke();
      g.setLineDash([]);
      if (!isUp) this.tag(g, palette, state, (a.x + b.x) / 2, (a.y + b.y) / 2);
    }
    for (const group of this.groups.values()) this.box(g, palette, group, t, group.name === selected);
    g.textAlign = "left";
  }

  tag(g, palette, text, x, y) {
    const width = g.measureText(text).width + 14;
    g.fillStyle = palette.danger;
    g.beginPath(); g.roundRect(x - width / 2, y - 9, width, 18, 9); g.fill();
    g.fillStyle = palette.isDark ? "#14100a" : "#fff";
    g.fillText(text, x, y + 0.5);
  }

  box(g, palette, group, t, isSelected) {
    const text = this.stateText(group, t), colour = LOUD[sortOf(text)] && sortOf(text) !== "dead" ? palette[LOUD[sortOf(text)]] : palette.wall;
    g.fillStyle = palette.floor;
    g.strokeStyle = isSelected ? palette.primary : colour;
    g.lineWidth = isSelected ? 2.5 : 1.25;
    g.beginPath(); g.roundRect(group.x - NODE_W / 2, group.y - group.h / 2, NODE_W, group.h, 7); g.fill(); g.stroke();
    const hasState = text && group.h > 30;
    g.fillStyle = palette.text;
    g.font = `600 12px ${palette.font}`;
    g.fillText(shortened(g, group.name, NODE_W - 14), group.x, group.y - (hasState ? 8 : 0));
    g.font = `11px ${palette.font}`;
    if (hasState) {
      g.fillStyle = colour === palette.wall ? palette.faint : colour;
      g.fillText(shortened(g, text, NODE_W - 14), group.x, group.y + 9);
    }
  }

  hit(px, py) {
    return [...this.groups.values()].find((each) => Math.abs(px - each.x) < NODE_W / 2 && Math.abs(py - each.y) < each.h / 2) || null;
  }
}
