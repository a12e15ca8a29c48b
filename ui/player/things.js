// Whatever can be followed: an agent, a device, a feature of the building, a node of the network.

class Things {
  constructor(story, trajectory) {
    this.story = story;
    this.trajectory = trajectory;
    this.atGates = [];
  }

  agent(i) {
    const trajectory = this.trajectory;
    const course = courseOf(trajectory, i), waited = queueingSeconds(trajectory, i);
    const out = course.find(([, text]) => text === MOTION_WORDS[ABSENT]);
    return {
      key: `agent ${i}`, index: i, kind: i < trajectory.cars ? "Car" : "Person", name: trajectory.label(i), course,
      place: () => {
        const now = trajectory.now;
        return now.state[i] ? { level: trajectory.levels[now.level[i]], x: now.x[i], y: now.y[i] } : null;
      },
      facts: (t) => {
        const now = trajectory.now, next = course.find(([at]) => at > t);
        return [
          ["Now", MOTION_WORDS[now.state[i]]],
          ["Level", now.state[i] ? trajectory.levels[now.level[i]] : "\u2013"],
          ["Next", next ? `${next[1]} at ${clockText(next[0], false)}` : "nothing more"],
          ["Leaves", out ? `at ${clockText(out[0], false)}` : "not in this run"],
          ["Queues", waited ? `${spanText(waited)} in all` : "never"],
        ];
      },
    };
  }

  device(device) {
    const story = this.story;
    const queue = story.queues.find((each) => each.feature && each.feature.id === device.feature);
    return {
      key: `node ${device.node}`, kind: words(device.kind) || "Device", name: device.node, course: device.states,
      place: () => (device.x == null ? null : { level: device.level, x: device.x, y: device.y }),
      facts: (t) => [
        ["Now", story.stateOf(device, t) || "\u2013"],
        ["Level", device.level || "\u2013"],
        device.fleet && ["Fleet", device.fleet],
        device.site && ["Site", device.site],
        queue && ["In the queue", String(Math.round(valueAt(queue.rows, t, 0)))],
        isGate(device) && !queue && ["Cars queueing", String((this.atGates.find(([gate]) => gate.id === device.feature) || [0, 0])[1])],
      ].filter(Boolean),
    };
  }

  feature(feature) {
    const device = feature.kind === "gate" ? this.story.gates.get(feature.id) : this.story.placed.find((each) => each.feature === feature.id);
    if (device) return this.device(device);
    const queue = this.story.queues.find((each) => each.feature === feature);
    return {
      key: `feature ${feature.id}`, kind: words(feature.kind), name: feature.id, course: [],
      place: () => ({ level: feature.level, x: feature.points[0][0], y: feature.points[0][1] }),
      facts: (t) => [["Level", feature.level], ["Waiting", queue ? String(Math.round(valueAt(queue.rows, t, 0))) : "0"]],
    };
  }

  group(group) {
    if (group.devices.length === 1) return this.device(group.devices[0]);
    const links = this.story.links.filter((each) => each.source === group.name || each.to === group.name);
    return {
      key: `node ${group.name}`, kind: group.devices.length ? "Fleet" : "Node", name: group.name, course: [], place: () => null,
      facts: (t) => [
        group.devices.length && ["Devices", String(group.devices.length)],
        ...links.slice(0, 8).map((link) => [`${link.source} to ${link.to}`, valueAt(link.states, t, "up")]),
      ].filter(Boolean),
    };
  }

  // The nearest thing to a point of the canvas, people and cars first.
  hit(stage, px, py, look) {
    const panel = stage.panelAt(px, py);
    if (!panel) return null;
    const near = (x, y) => Math.hypot(x - px, y - py);
    let best = null, distance = 11;
    const offer = (d, make) => { if (d < distance) { distance = d; best = make; } };
    if (this.trajectory) {
      const now = this.trajectory.now, car = (CAR_M[0] / 2) * stage.scale * 0.8;
      for (let i = 0; i < this.trajectory.count; i++) {
        const isCar = i < this.trajectory.cars;
        if (!now.state[i] || now.level[i] !== panel.index || !(isCar ? look.cars : look.people)) continue;
        offer(near(...stage.toScreen(panel, now.x[i], now.y[i])) - (isCar ? Math.max(car, 4) : 3), () => this.agent(i));
      }
    }
    if (look.devices) {
      for (const device of this.story.drawn.get(panel.level) || []) {
        offer(near(...deviceAt(stage, panel, device)), () => this.device(device));
      }
    }
    for (const each of stage.perLevel.get(panel.level) || []) {
      if (["gate", "door", "exit"].includes(each.kind) && each.level === panel.level) offer(near(...stage.toScreen(panel, ...each.points[0])) - 3, () => this.feature(each));
    }
    return best && best();
  }

  // Names to find things by, and what they stand for.
  names() {
    const found = new Map();
    for (const each of this.story.features) if (["gate", "door", "exit"].includes(each.kind)) found.set(each.id, () => this.feature(each));
    for (const each of this.story.devices) found.set(each.node, () => this.device(each));
    if (this.trajectory) for (let i = 0; i < this.trajectory.count; i++) found.set(this.trajectory.label(i), () => this.agent(i));
    return found;
  }

  // Those one can step through with the keyboard, on the levels shown.
  near(stage) {
    const shown = new Set(stage.panels.map((each) => each.level));
    const makes = [];
    for (const each of this.story.features) if (["gate", "door", "exit"].includes(each.kind) && shown.has(each.level)) makes.push(() => this.feature(each));
    for (const level of shown) for (const each of this.story.drawn.get(level) || []) makes.push(() => this.device(each));
    if (this.trajectory) {
      const now = this.trajectory.now;
      for (let i = 0; i < this.trajectory.count; i++) if (now.state[i] && shown.has(this.trajectory.levels[now.level[i]])) makes.push(() => this.agent(i));
    }
    return makes;
  }
}

function words(name) {
  const text = String(name || "").replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
