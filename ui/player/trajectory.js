// Where every car and person is: a binary file of equal frames, read whole or grown while a run goes on.

const MAGIC = "WTT1";
const BYTES_AN_AGENT = 6;
const ABSENT = 0, RESTING = 1, MOVING = 2, QUEUEING = 3;
const HEADINGS = 64; // a full turn
const LEAST_MOVE = 0.12; // metres in a frame that turn a car
const LONGEST_MOVE = 30; // metres in a frame: further is a jump, not a way

class Trajectory {
  constructor(header, capacity) {
    this.header = header;
    this.frameS = header.frame_s;
    this.cars = header.agents.cars || 0;
    this.people = header.agents.people || 0;
    this.count = this.cars + this.people;
    this.levels = header.levels;
    [this.x0, this.y0, this.x1, this.y1] = header.bounds;
    this.stepX = (this.x1 - this.x0) / 65535;
    this.stepY = (this.y1 - this.y0) / 65535;
    this.size = this.count * BYTES_AN_AGENT;
    this.frames = 0;
    this.reserve(Math.max(capacity, 1));
    this.now = {
      x: new Float32Array(this.count), y: new Float32Array(this.count),
      level: new Uint8Array(this.count), state: new Uint8Array(this.count),
      heading: new Float32Array(this.cars),
    };
  }

  reserve(frames) {
    const bytes = new Uint8Array(frames * this.size);
    const headings = new Uint8Array(frames * this.cars);
    if (this.bytes) {
      bytes.set(this.bytes.subarray(0, this.frames * this.size));
      headings.set(this.headings.subarray(0, this.frames * this.cars));
    }
    this.bytes = bytes;
    this.words = new Uint16Array(bytes.buffer);
    this.headings = headings;
    this.capacity = frames;
  }

  // Frames follow each other; a gap, of frames that nobody sent, is filled with what was before it.
  append(bytes, index = this.frames) {
    while (this.frames < index) this.put(this.frames ? this.frame(this.frames - 1).slice() : bytes);
    if (index === this.frames) this.put(bytes);
  }

  put(bytes) {
    if (this.frames === this.capacity) this.reserve(this.capacity * 2);
    this.bytes.set(bytes, this.frames * this.size);
    this.frames += 1;
    this.turn(this.frames - 1);
  }

  frame(k) {
    return this.bytes.subarray(k * this.size, (k + 1) * this.size);
  }

  // A car points where it went last; one that has not moved yet points where it will go first.
  turn(k) {
    const { cars, headings, words } = this;
    const here = (k * this.size) / 2, before = here - this.size / 2, n = this.count;
    for (let i = 0; i < cars; i++) {
      const at = k * cars + i;
      if (!k) { headings[at] = HEADINGS / 4; continue; }
      const dx = (words[here + i] - words[before + i]) * this.stepX;
      const dy = (words[here + n + i] - words[before + n + i]) * this.stepY;
      const moved = Math.abs(dx) + Math.abs(dy);
      headings[at] = moved > LEAST_MOVE && moved < LONGEST_MOVE
        ? (Math.round((Math.atan2(dy, dx) / (2 * Math.PI)) * HEADINGS) + HEADINGS) % HEADINGS
        : headings[at - cars];
    }
  }

  // A parked car stands along its bay, nose the way it will leave. `liesAcross(level, x, y)`: a bay lies west to east.
  park(liesAcross) {
    const quarter = HEADINGS / 4;
    for (let i = 0; i < this.cars; i++) {
      let k = 1;
      while (k < this.frames && this.headings[k * this.cars + i] === this.headings[i]) k++;
      const turn = k < this.frames ? this.headings[k * this.cars + i] : quarter;
      const isAcross = liesAcross(this.levels[this.levelOf(0, i)], ...this.point(0, i));
      const parked = isAcross ? (turn < quarter || turn > 3 * quarter ? 0 : 2 * quarter) : turn < 2 * quarter ? quarter : 3 * quarter;
      for (let j = 0; j < k; j++) this.headings[j * this.cars + i] = parked;
    }
  }

  get endS() {
    return Math.max(0, this.frames - 1) * this.frameS;
  }

  // Everybody at time t, between the two frames around it.
  at(t, isSmooth = true) {
    const now = this.now, n = this.count, cars = this.cars;
    if (!this.frames) { now.state.fill(ABSENT); return now; }
    const place = Math.min(Math.max(t / this.frameS, 0), this.frames - 1);
    const k = Math.floor(place), next = Math.min(k + 1, this.frames - 1), f = isSmooth ? place - k : 0;
    const a = (k * this.size) / 2, b = (next * this.size) / 2, ab = k * this.size + 4 * n, bb = next * this.size + 4 * n;
    const { words, bytes, headings } = this;
    for (let i = 0; i < n; i++) {
      const state = bytes[ab + n + i], level = bytes[ab + i];
      now.state[i] = state;
      now.level[i] = level;
      if (!state) continue;
      let x = words[a + i] * this.stepX, y = words[a + n + i] * this.stepY;
      if (f && bytes[bb + n + i] && bytes[bb + i] === level) {
        const dx = words[b + i] * this.stepX - x, dy = words[b + n + i] * this.stepY - y;
        if (Math.abs(dx) + Math.abs(dy) < LONGEST_MOVE) { x += dx * f; y += dy * f; }
      }
      now.x[i] = this.x0 + x;
      now.y[i] = this.y0 + y;
    }
    for (let i = 0; i < cars; i++) {
      const h = headings[k * cars + i];
      let turn = headings[next * cars + i] - h;
      if (turn > HEADINGS / 2) turn -= HEADINGS; else if (turn < -HEADINGS / 2) turn += HEADINGS;
      now.heading[i] = ((h + turn * f) / HEADINGS) * 2 * Math.PI;
    }
    return now;
  }

  point(k, i) {
    const a = (k * this.size) / 2;
    return [this.x0 + this.words[a + i] * this.stepX, this.y0 + this.words[a + this.count + i] * this.stepY];
  }
  levelOf(k, i) { return this.bytes[k * this.size + 4 * this.count + i]; }
  stateOf(k, i) { return this.bytes[k * this.size + 5 * this.count + i]; }

  label(i) {
    const isCar = i < this.cars, named = this.header.labels && this.header.labels[isCar ? "cars" : "people"];
    const number = isCar ? i : i - this.cars;
    const text = String((named && named[number]) || `${isCar ? "car" : "person"} ${number + 1}`);
    return text.charAt(0).toUpperCase() + text.slice(1);
  }
}

async function unzipped(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function readTrajectory(given) {
  const bytes = await unzipped(given);
  if (String.fromCharCode(...bytes.subarray(0, 4)) !== MAGIC) throw new Error("This is not a trajectory.");
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const made = new Trajectory(header, 1);
  const body = bytes.subarray(8 + length);
  const frames = made.size ? Math.floor(body.length / made.size) : 0;
  made.capacity = Math.max(frames, 1);
  made.bytes = body.slice(0, made.capacity * made.size);
  made.words = new Uint16Array(made.bytes.buffer);
  made.headings = new Uint8Array(made.capacity * made.cars);
  for (made.frames = 0; made.frames < frames; made.frames++) made.turn(made.frames);
  return made;
}
