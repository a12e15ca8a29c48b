// The replay document, asked for what holds at a time.

function lastBefore(rows, t) {
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle][0] <= t) low = middle + 1; else high = middle;
  }
  return low - 1;
}

function valueAt(rows, t, otherwise) {
  const k = lastBefore(rows, t);
  return k < 0 ? otherwise : rows[k][1];
}

// What a state means to the eye. The text itself is always shown as well.
const SORTS = new Map();
function sortOf(text) {
  let sort = SORTS.get(text);
  if (sort === undefined) {
    if (SORTS.size > 2000) SORTS.clear();
    SORTS.set(text, (sort = sortOfWord(text)));
  }
  return sort;
}

function sortOfWord(text) {
  const word = String(text).toLowerCase();
  if (/dead|killed|crash|fail|offline|no power|broken|paused/.test(word)) return "dead";
  if (/alarm|fire|smoke/.test(word)) return "alarm";
  if (/opening|closing|moving/.test(word)) return "moving";
  if (/closed|shut|locked/.test(word)) return "closed";
  if (/open|lifted|free/.test(word)) return "open";
  if (/cut/.test(word)) return "cut";
  if (/degrad|slow|lossy/.test(word)) return "degraded";
  if (/sound|evacuat|running|^on$|recalled|isolated/.test(word)) return "active";
  return "quiet";
}

// The few groups that events are marked and filtered by, whatever kinds a document has.
const GROUPS = [
  ["danger", "Fire and smoke", /fire|smoke|tenab|spread|ignit/],
  ["alarm", "Alarms", /alarm|sound|evacuat|detect/],
  ["fault", "Faults", /fault|^node|cut|partition|degrad|heal|crash|kill|restart|dead|lost|link|power|broken/],
  ["decision", "Rules and commands", /rule|command|cmd|desire|shadow|twin$|order/],
  ["motion", "Gates and people", /gate|door|people|person|^cars?$|queue|fan|sign|lift|charger/],
  ["other", "Other", /.*/],
];
function groupOf(kind) {
  const word = String(kind).toLowerCase();
  return GROUPS.find(([, , pattern]) => pattern.test(word))[0];
}

// Links there and back are one way while they fare alike.
function waysOf(links) {
  const ways = [], byStates = new Map();
  for (const link of links) {
    const name = String(link.name || `${link.source} to ${link.to}`), plain = name.replace(/\/back$/, "");
    const key = `${[link.source, link.to].sort().join(" ")} ${JSON.stringify(link.states)}`;
    const known = byStates.get(key);
    if (known) { if (plain === name && known.isBack) known.name = name; continue; }
    const way = { name: name === plain ? name : `${plain}, back`, isBack: name !== plain, states: link.states };
    byStates.set(key, way);
    ways.push(way);
  }
  return ways;
}

class Story {
  constructor(replay) {
    this.replay = replay;
    const scene = replay.scene || { levels: [], features: [] };
    this.levels = scene.levels || [];
    this.features = scene.features || [];
    this.byId = new Map(this.features.map((each) => [each.id, each]));
    this.devices = replay.devices || [];
    this.byNode = new Map(this.devices.map((each) => [each.node, each]));
    this.links = replay.links || [];
    this.tie();
    this.smoke = new Map((replay.smoke || []).map((each) => [each.level, each]));
    this.events = (replay.events || []).map((each) => ({ ...each, group: groupOf(each.kind) }));
    this.requirements = replay.requirements || [];
    this.queues = Object.entries(replay.queues || {}).map(([name, rows]) => ({ name, rows, feature: this.place(name) }));
    this.queued = new Set(this.queues.map((each) => each.name));
    this.fire = replay.fire ? { feature: this.byId.get(replay.fire[0]), name: replay.fire[0], atS: replay.fire[1] } : null;
    this.placeDevices();
  }

  // Whether the bay at a place lies from west to east.
  liesAcross(level, x, y) {
    if (!this.bays) {
      this.bays = new Map();
      for (const each of this.features) if (each.kind === "bay") this.bays.set(`${each.level} ${Math.round(each.points[0][0])} ${Math.round(each.points[0][1])}`, each);
    }
    const [cx, cy] = [Math.round(x), Math.round(y)];
    for (const dx of [0, -1, 1]) for (const dy of [0, -1, 1]) {
      const bay = this.bays.get(`${level} ${cx + dx} ${cy + dy}`);
      if (bay) return bay.size && bay.size.length === 2 && bay.size[0] > bay.size[1];
    }
    return false;
  }

  // A queue is named after a feature, or after the way that ends there.
  place(name) {
    const found = this.byId.get(name) || this.byId.get(`${name}-door`) || this.byId.get(`${name}-EXIT`);
    if (found) return found;
    const parts = String(name).split(/[ >:]+/);
    return parts.map((part) => this.byId.get(part)).reverse().find(Boolean) || null;
  }

  // Several devices at one place (a detector on a gateway, say) stand side by side.
  placeDevices() {
    const taken = new Map();
    for (const device of this.devices) {
      const feature = this.byId.get(device.feature);
      if (device.x == null && feature) [device.x, device.y] = feature.points[0];
      if (!device.level && feature) device.level = feature.level;
      if (device.x == null || !device.level) continue;
      const key = `${device.level} ${device.x} ${device.y}`;
      device.beside = taken.get(key) || 0;
      taken.set(key, device.beside + 1);
    }
    this.placed = this.devices.filter((each) => each.x != null && each.level);
    this.drawn = new Map(this.levels.map((level) => [level, []]));
    this.gates = new Map();
    for (const each of this.placed) {
      if (isGate(each)) this.gates.set(each.feature, this.gates.get(each.feature) || each);
      else if (!/bay/.test(each.kind) && this.drawn.has(each.level)) this.drawn.get(each.level).push(each);
    }
  }

  get durationS() { return this.replay.duration_s || 0; }

  stateOf(device, t) { return valueAt(device.states, t, ""); }

  // What it is at work with from the start is nothing to look at.
  sortOf(device, t) {
    const text = this.stateOf(device, t), sort = sortOf(text);
    return sort === "active" && device.states.length && device.states[0][1] === text ? "quiet" : sort;
  }

  linksNow(t) {
    return this.changing.map((way) => [way, valueAt(way.states, t, "up")]).filter(([, state]) => state !== "up");
  }

  tie() {
    this.ways = waysOf(this.links);
    this.changing = this.ways.filter((way) => way.states.some(([, state]) => state !== "up"));
  }

  queuesNow(t) {
    return this.queues.map((queue) => [queue, valueAt(queue.rows, t, 0)]).filter(([, count]) => count > 0);
  }

  smokeAt(level, t) {
    const series = this.smoke.get(level);
    if (!series || !series.at_s.length) return null;
    let low = 0, high = series.at_s.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (series.at_s[middle] <= t) low = middle + 1; else high = middle;
    }
    if (!low) return null;
    const k = low - 1;
    const visibility = series.visibility_m[k];
    return {
      visibility: visibility == null ? Infinity : visibility,
      height: series.layer_height_m ? series.layer_height_m[k] : null,
      celsius: series.temperature_c ? series.temperature_c[k] : null,
    };
  }

  eventsNear(t) { // index of the last event at or before t
    let low = 0, high = this.events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.events[middle].at_s <= t + 1e-6) low = middle + 1; else high = middle;
    }
    return low - 1;
  }

  // A running run tells how it stands: what is cut or down, and nothing of what is as usual.
  learn(state) {
    const at = state.at_s || 0;
    this.replay.duration_s = Math.max(this.replay.duration_s || 0, state.duration_s || 0);
    let isOther = false;
    const since = state.since || {}; // who joins late sees it from when it was so
    for (const link of this.links) {
      const text = (state.links || {})[link.name];
      isOther = change(link.states, text && link.name in since ? since[link.name] : at, text || "up") || isOther;
    }
    if (isOther) this.tie();
    for (const [node, text] of Object.entries(state.nodes || {})) {
      const device = this.byNode.get(node);
      if (device) change(device.states, node in since ? since[node] : at, text === "down" ? "dead" : String(text));
    }
    if (state.fire && state.fire.bay) this.fire = { feature: this.byId.get(state.fire.bay), name: state.fire.bay, atS: state.fire.from_s };
    if (state.course) this.learnCourse(state.course);
  }

  learnCourse({ at_s: times, values }) {
    const curve = (name) => values[name] && times.map((t, k) => [t, values[name][k]]);
    this.replay.occupancy = { ...this.replay.occupancy, ...(curve("people inside") && { people: curve("people inside") }),
      ...(curve("cars inside") && { cars: curve("cars inside") }) };
    const level = this.fire && this.fire.feature && this.fire.feature.level;
    if (level && values["visibility in smoke"]) {
      this.smoke.set(level, { level, at_s: times, visibility_m: values["visibility in smoke"], layer_height_m: values["clear air below smoke"] });
    }
  }

  add(events) {
    for (const each of events) {
      this.events.push({ ...each, group: groupOf(each.kind) });
      const device = this.byNode.get(each.node), told = device && stateTold(each, device);
      if (told) change(device.states, each.at_s, told);
    }
    this.events.sort((a, b) => a.at_s - b.at_s);
  }
}

function change(states, at, text) {
  const last = states[states.length - 1], isOther = !last || last[1] !== text;
  if (isOther) states.push([last ? Math.max(at, last[0]) : at, text]);
  return isOther;
}

// The state that an event of a running run puts its device into; the words are those of the events.
const TOLD = [
  ["alarm", /^alarm$/, "alarm"], ["command", /^told to open/, "opening"], ["gate", /^gate is open/, "open"],
  ["gate", /^gate is closed/, "closed"], ["gate", /^opens alone/, "opening"], ["sounder", /sounds$/, "sounding"],
  ["sounder", /silent$/, "silent"], ["sign", /way out$/, "evacuate"], ["sign", /nothing$/, "clear"],
  ["fan", /runs$/, "on"], ["fan", /still$/, "off"], ["lift", /recalled$/, "recalled"], ["lift", /released$/, "in service"],
  ["chargers", /isolated$/, "isolated"], ["chargers", / on$/, "on"], ["firmware", /updated$/, "updated"],
  ["firmware", /failed$/, "update failed"], ["firmware", /^broken/, "broken"],
  ["node", /^stops/, "dead"], ["node", /^stands still/, "paused"],
];
function stateTold(event, device) {
  if (event.kind === "node" && /^is up/.test(event.text)) return device.states.length ? device.states[0][1] : "up";
  const found = TOLD.find(([kind, pattern]) => kind === event.kind && pattern.test(event.text));
  return found ? found[2] : "";
}

// Words ------------------------------------------------------------------------------------------

function clockText(t, hasTenths = true) {
  const s = Math.max(0, t), tenths = hasTenths ? Math.floor(s * 10 + 1e-6) / 10 : Math.floor(s + 1e-6);
  const hours = Math.floor(tenths / 3600), minutes = Math.floor((tenths % 3600) / 60);
  const rest = (tenths % 60).toFixed(hasTenths ? 1 : 0).padStart(hasTenths ? 4 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

function spanText(s) {
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 120) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
}

const MOTION_WORDS = ["out", "at rest", "moving", "queueing"];
