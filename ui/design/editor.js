// The drawing of a scenario. What is done here is sent as orders; the scenario's text decides what is drawn.
const NS = 'http://www.w3.org/2000/svg';
const WIDTH = 140, HEIGHT = 44, STEP = 10, FAR = 0.34;

const ICONS = {
  site: 'M12 21s7-6.2 7-11.5A7 7 0 0 0 5 9.5C5 14.8 12 21 12 21zM12 12a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z',
  gateway: 'M4 14h16v6H4zM8 17h.01M12 17h.01M12 14V9M8.5 7.5a5 5 0 0 1 7 0M6 5a8.5 8.5 0 0 1 12 0',
  mqtt_broker: 'M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM12 3v6M12 15v6M4.2 7.5l5.2 3M14.6 13.5l5.2 3M19.8 7.5l-5.2 3M9.4 13.5l-5.2 3',
  rule_engine: 'M6 4v6a4 4 0 0 0 4 4h8M6 10v10M15 11l3 3-3 3',
  twin: 'M9 12m-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0M15 12m-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0',
  operator: 'M12 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c.6-4.2 3.6-7 8-7s7.4 2.8 8 7M17 6h4M19 4v4',
  application: 'M3 5h18v14H3zM3 9h18M6 7h.01M9 7h.01',
  database: 'M4 6c0-1.7 3.6-3 8-3s8 1.3 8 3-3.6 3-8 3-8-1.3-8-3zM4 6v12c0 1.7 3.6 3 8 3s8-1.3 8-3V6M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3',
  user: 'M12 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c.6-4.2 3.6-7 8-7s7.4 2.8 8 7',
  fleets: 'M7 7h10v10H7zM4 10h3M4 14h3M17 10h3M17 14h3M10 4v3M14 4v3M10 17v3M14 17v3',
  undo: 'M9 14L4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3', redo: 'M15 14l5-5-5-5M20 9H10a6 6 0 0 0 0 12h3',
  connect: 'M5 19a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM19 9a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM6.5 15.5l11-8',
  remove: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13', rename: 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4',
  plus: 'M12 5v14M5 12h14', minus: 'M5 12h14', fit: 'M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5',
  tidy: 'M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z',
};

function made(name, attributes, ...children) {
  const element = document.createElementNS(NS, name);
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  element.append(...children);
  return element;
}

function icon(name, size) {
  const path = made('path', { d: ICONS[name] || ICONS.fleets });
  return made('svg', { width: size, height: size, viewBox: '0 0 24 24', fill: 'none', stroke: 'currentColor',
    'stroke-width': 1.7, 'stroke-linecap': 'round', 'stroke-linejoin': 'round', 'aria-hidden': 'true' }, path);
}

function written(text, attributes) {
  const element = made('text', attributes);
  element.textContent = text;
  return element;
}

function cut(text, most) {
  const letters = [...String(text)];
  return letters.length > most ? letters.slice(0, most - 1).join('') + '…' : letters.join('');
}

class Editor {
  constructor(root) {
    this.root = root;
    this.svg = root.querySelector('.canvas');
    this.status = root.querySelector('.status');
    this.bar = root.querySelector('.bar');
    this.form = root.querySelector('.rename');
    this.input = root.querySelector('.rename input');
    this.sent = 0;
    this.waiting = [];
    this.view = null;
    this.selected = null;   // {section, id}
    this.connecting = null; // id of the first end
    this.chosen = -1;
    this.buttons = {};
    this.moved = {};
    this.buildBar();
    this.listen();
  }

  // --- what comes in -----------------------------------------------------------------------------
  show(component) {
    this.send = component.setTriggerValue;
    this.tell = component.setStateValue;
    const data = this.data = component.data;
    this.waiting = this.waiting.filter(order => order.n > data.acked);
    if (this.sent < data.acked) this.sent = data.acked;
    const drawing = data.drawing;
    for (const item of drawing.items) {
      const place = this.moved[item.id];
      if (place && this.waiting.some(order => order.do === 'move' && item.id in order.places)) [item.x, item.y] = place;
    }
    if (!this.waiting.length) this.moved = {};
    this.items = new Map(drawing.items.map(item => [item.id, item]));
    if (data.chosen.n !== this.chosen) {
      this.chosen = data.chosen.n;
      if (data.chosen.id) this.selected = { section: data.chosen.section, id: data.chosen.id };
    }
    this.buildPalette();
    if (this.scenario !== data.scenario || !this.view) {
      this.scenario = data.scenario;
      this.selected = null;
      this.view = null;
    }
    this.draw();
    if (!this.view) this.fit();
    this.say(data.notice ? data.notice : this.described(), Boolean(data.notice));
  }

  order(order) {
    this.waiting.push({ n: ++this.sent, ...order });
    this.send('orders', { orders: this.waiting });
  }

  // --- fixed parts -------------------------------------------------------------------------------
  buildBar() {
    const add = (name, icon_, label, keys, action, text) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.title = keys ? `${label} (${keys})` : label;
      button.setAttribute('aria-label', label);
      if (name === 'add') button.className = 'add-part';
      button.append(icon(icon_, 16));
      if (text) { const words = document.createElement('span'); words.textContent = text; button.append(words); }
      button.addEventListener('click', () => { action(); if (name !== 'rename' && name !== 'add') this.svg.focus({ preventScroll: true }); });
      this.bar.append(button);
      this.buttons[name] = button;
    };
    const rule = () => { const line = document.createElement('span'); line.className = 'rule'; this.bar.append(line); };
    add('add', 'plus', 'Add a part', 'A', () => this.togglePalette(), 'Add');
    add('undo', 'undo', 'Undo', 'Ctrl+Z', () => this.order({ do: 'undo' }));
    add('redo', 'redo', 'Redo', 'Ctrl+Y', () => this.order({ do: 'redo' }));
    rule();
    add('connect', 'connect', 'Connect', 'C', () => this.beginConnecting(), 'Connect');
    add('rename', 'rename', 'Rename', 'F2', () => this.beginRenaming(), 'Rename');
    add('remove', 'remove', 'Delete', 'Del', () => this.remove(), 'Delete');
    const gap = document.createElement('span');
    gap.className = 'gap';
    this.bar.append(gap);
    add('tidy', 'tidy', 'Arrange anew', '', () => { this.order({ do: 'tidy' }); this.view = null; });
    rule();
    add('minus', 'minus', 'Smaller', '-', () => this.zoom(1.25));
    add('plus', 'plus', 'Larger', '+', () => this.zoom(0.8));
    add('fit', 'fit', 'Show everything', '0', () => this.fit());
  }

  buildPalette() {
    const palette = this.root.querySelector('.palette');
    if (palette.childElementCount) return;
    const headings = { sites: 'Places', nodes: 'Nodes', fleets: 'Fleets of devices' };
    let last = '';
    for (const part of this.data.palette) {
      if (part.section !== last) {
        last = part.section;
        const heading = document.createElement('h4');
        heading.textContent = headings[last];
        palette.append(heading);
      }
      const button = document.createElement('button');
      button.type = 'button';
      button.title = part.note;
      button.setAttribute('aria-label', `Add ${part.label}`);
      button.append(icon(part.section === 'fleets' ? 'fleets' : part.kind, 16), part.label);
      button.addEventListener('pointerdown', event => this.dragNew(event, part));
      button.addEventListener('click', event => { if (!this.dropped) this.add(part); this.dropped = false; event.preventDefault(); });
      button.addEventListener('keydown', event => this.walkPalette(event));
      palette.append(button);
    }
  }

  togglePalette(isOpen) {
    const palette = this.root.querySelector('.palette');
    const open = palette.classList.toggle('open', isOpen);
    this.buttons.add.setAttribute('aria-expanded', String(open));
    if (open) palette.querySelector('button').focus();
  }

  walkPalette(event) {
    const all = [...this.root.querySelectorAll('.palette button')];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      all[(all.indexOf(event.currentTarget) + step + all.length) % all.length].focus();
    } else if (event.key === 'Escape') { this.togglePalette(false); this.svg.focus({ preventScroll: true }); }
  }

  // --- drawing -----------------------------------------------------------------------------------
  draw() {
    const began = performance.now();
    const drawing = this.data.drawing;
    this.layers = { boxes: made('g', {}), ties: made('g', {}), items: made('g', {}) };
    this.shapes = new Map();
    this.lines = new Map();
    this.near = new Map();
    for (const box of drawing.boxes) this.layers.boxes.append(this.boxShape(box));
    for (const tie of drawing.ties) this.layers.ties.append(this.tieShape(tie));
    for (const item of drawing.items) this.layers.items.append(this.itemShape(item));
    this.svg.replaceChildren(this.layers.boxes, this.layers.ties, this.layers.items);
    this.svg.classList.toggle('many', drawing.ties.length > 150);
    if (this.view) this.look();
    this.mark();
    this.svg.dataset.drawn = String(Math.round((performance.now() - began) * 10) / 10);
  }

  boxShape(box) {
    const title = made('text', { x: box.x + 14, y: box.y + 22 });
    const name = made('tspan', { class: 'name' });
    name.textContent = cut(box.label, Math.max(8, Math.floor((box.width - 28) / 9)));
    const note = made('tspan', { class: 'note', dx: 8 });
    note.textContent = cut(box.note, 20);
    title.append(name);
    if (box.width > 190 || box.label.length < 9) title.append(note);
    const shape = made('g', { class: 'box' }, made('rect', { x: box.x, y: box.y, width: box.width, height: box.height, rx: 10 }), title);
    if (box.problem) shape.append(this.problem(box.x + box.width - 2, box.y + 2, box.problem));
    shape.addEventListener('pointerdown', event => { if (event.button === 0) this.select({ section: 'sites', id: box.id }); });
    this.shapes.set(`sites/${box.id}`, shape);
    return shape;
  }

  itemShape(item) {
    const isFleet = item.section === 'fleets';
    const shape = made('g', { class: 'item' + (item.is_overridden ? ' changed' : ''), transform: `translate(${item.x},${item.y})`,
      id: `item-${this.shapes.size}`, role: 'button', 'aria-label': this.named(item) });
    if (isFleet) {
      shape.append(made('rect', { class: 'back', x: 7, y: 7, width: WIDTH, height: HEIGHT, rx: 7 }));
      shape.append(made('rect', { class: 'back', x: 3.5, y: 3.5, width: WIDTH, height: HEIGHT, rx: 7 }));
    }
    shape.append(made('rect', { class: 'body', width: WIDTH, height: HEIGHT, rx: 7 }));
    const picture = made('path', { class: 'icon', d: ICONS[isFleet ? 'fleets' : item.kind] || ICONS.fleets, transform: 'translate(8,11) scale(.88)' });
    shape.append(picture, written(cut(item.label, item.count ? 14 - item.count.length : 14), { class: 'name', x: 36, y: 19 }));
    shape.append(written(cut(item.note, 18), { class: 'note', x: 36, y: 34 }));
    if (item.count) shape.append(written(item.count, { class: 'count', x: WIDTH - 9, y: 19 }));
    const title = made('title', {});
    title.textContent = cut(`${item.label}: ${item.note}${item.problem ? '\n' + item.problem : ''}`, 600);
    shape.append(title);
    const handle = made('circle', { class: 'handle', cx: WIDTH, cy: HEIGHT / 2, r: 6 });
    handle.addEventListener('pointerdown', event => { event.stopPropagation(); this.beginConnecting(item.id); });
    shape.append(handle);
    if (item.problem) shape.append(this.problem(WIDTH - 2, 2, item.problem));
    shape.addEventListener('pointerdown', event => this.press(event, item));
    shape.addEventListener('dblclick', () => this.beginRenaming());
    this.shapes.set(`${item.section}/${item.id}`, shape);
    return shape;
  }

  problem(x, y, text) {
    const title = made('title', {});
    title.textContent = cut(text, 600);
    return made('g', { class: 'problem', transform: `translate(${x},${y})` }, made('circle', { r: 8 }), written('!', { y: 4 }), title);
  }

  tieShape(tie) {
    const line = made('path', { class: 'line' }), hit = made('path', { class: 'hit' });
    const shape = made('g', { class: `tie ${tie.kind}${tie.problem ? ' wrong' : ''}${tie.is_overridden ? ' changed' : ''}` }, line, hit);
    const label = tie.label ? written(cut(tie.label, 30), {}) : null;
    if (label) shape.append(label);
    const entry = { tie, line, hit, label, shape };
    this.lines.set(tie.id, entry);
    for (const end of [tie.a, tie.b]) this.near.set(end, [...(this.near.get(end) || []), entry]);
    this.route(entry);
    if (tie.kind === 'link') hit.addEventListener('pointerdown', event => { event.stopPropagation(); this.svg.focus({ preventScroll: true }); this.select({ section: 'links', id: String(tie.index) }); });
    return shape;
  }

  route({ tie, line, hit, label }) {
    let a = this.items.get(tie.a), b = this.items.get(tie.b);
    if (!a || !b) return;
    if (a.x > b.x) [a, b] = [b, a];
    let path, middle;
    const left = { x: a.x + WIDTH, y: a.y + HEIGHT / 2 }, right = { x: b.x, y: b.y + HEIGHT / 2 };
    if (right.x - left.x > 12) {
      const bend = Math.max(24, (right.x - left.x) / 2);
      path = `M${left.x} ${left.y}C${left.x + bend} ${left.y} ${right.x - bend} ${right.y} ${right.x} ${right.y}`;
      middle = [(left.x + right.x) / 2, (left.y + right.y) / 2];
    } else {
      const [top, low] = a.y <= b.y ? [a, b] : [b, a];
      const x1 = top.x + WIDTH / 2, x2 = low.x + WIDTH / 2, y1 = top.y + HEIGHT, y2 = low.y;
      const isNext = y2 - y1 < HEIGHT + 40;
      const bow = isNext ? 0 : WIDTH / 2 + 22;
      path = isNext ? `M${x1} ${y1}C${x1} ${(y1 + y2) / 2} ${x2} ${(y1 + y2) / 2} ${x2} ${y2}`
        : `M${top.x + WIDTH} ${top.y + HEIGHT / 2}C${x1 + bow + 20} ${top.y + HEIGHT / 2} ${x2 + bow + 20} ${low.y + HEIGHT / 2} ${low.x + WIDTH} ${low.y + HEIGHT / 2}`;
      middle = [(x1 + x2) / 2 + bow, (y1 + y2) / 2];
    }
    line.setAttribute('d', path);
    hit.setAttribute('d', path);
    if (label) { label.setAttribute('x', middle[0]); label.setAttribute('y', middle[1] - 7); }
  }

  named(item) {
    const what = item.section === 'fleets' ? 'fleet' : 'node';
    return `${what} ${item.label}, ${item.count ? item.count + ' × ' : ''}${item.note}, at ${item.site || 'no site'}${item.problem ? ', has a problem: ' + item.problem : ''}`;
  }

  mark() {
    for (const shape of this.svg.querySelectorAll('.selected')) shape.classList.remove('selected');
    const chosen = this.selected;
    const shape = chosen && (chosen.section === 'links' ? this.linkEntry(chosen.id)?.shape : this.shapes.get(`${chosen.section}/${chosen.id}`));
    if (chosen && !shape) this.selected = null;
    if (shape) shape.classList.add('selected');
    if (shape && shape.id) this.svg.setAttribute('aria-activedescendant', shape.id);
    else this.svg.removeAttribute('aria-activedescendant');
    const isItem = shape && chosen.section !== 'links';
    const isPart = isItem && chosen.section !== 'sites';
    this.buttons.undo.disabled = !this.data.can_undo;
    this.buttons.redo.disabled = !this.data.can_redo;
    this.buttons.connect.disabled = !isPart;
    this.buttons.connect.setAttribute('aria-pressed', String(Boolean(this.connecting)));
    this.buttons.rename.disabled = !isItem;
    this.buttons.remove.disabled = !shape;
    this.svg.classList.toggle('connecting', Boolean(this.connecting));
    if (!this.connecting) this.svg.querySelectorAll('.pending').forEach(line => line.remove());
  }

  linkEntry(index) {
    for (const entry of this.lines.values()) if (entry.tie.kind === 'link' && String(entry.tie.index) === index) return entry;
    return null;
  }

  // --- looking -----------------------------------------------------------------------------------
  fit() {
    const { boxes, items } = this.data.drawing;
    const all = [...boxes, ...items.map(item => ({ x: item.x, y: item.y, width: WIDTH, height: HEIGHT }))];
    const size = this.svg.getBoundingClientRect();
    if (!size.width) { requestAnimationFrame(() => this.svg.isConnected && this.fit()); return; }
    const x0 = Math.min(0, ...all.map(each => each.x)), y0 = Math.min(0, ...all.map(each => each.y));
    const x1 = Math.max(WIDTH, ...all.map(each => each.x + each.width)), y1 = Math.max(HEIGHT, ...all.map(each => each.y + each.height));
    const scale = Math.max((x1 - x0 + 28) / size.width, (y1 - y0 + 28) / size.height, 0.8);
    const width = size.width * scale, height = size.height * scale;
    this.view = { x: (x0 + x1 - width) / 2, y: (y0 + y1 - height) / 2, width, height };
    this.look();
  }

  look() {
    const { x, y, width, height } = this.view;
    this.svg.setAttribute('viewBox', `${x} ${y} ${width} ${height}`);
    const shown = this.svg.getBoundingClientRect().width / width;
    this.svg.classList.toggle('far', shown > 0 && shown < FAR);
  }

  zoom(factor, centre) {
    const view = this.view;
    const at = centre || { x: view.x + view.width / 2, y: view.y + view.height / 2 };
    const bounded = Math.min(Math.max(view.width * factor, 120), 40000) / view.width;
    this.view = { x: at.x - (at.x - view.x) * bounded, y: at.y - (at.y - view.y) * bounded, width: view.width * bounded, height: view.height * bounded };
    this.look();
  }

  point(event) {
    return new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
  }

  reveal(item) {
    const view = this.view;
    if (item.x < view.x || item.x + WIDTH > view.x + view.width) view.x = item.x + WIDTH / 2 - view.width / 2;
    if (item.y < view.y || item.y + HEIGHT > view.y + view.height) view.y = item.y + HEIGHT / 2 - view.height / 2;
    this.look();
  }

  // --- selecting ---------------------------------------------------------------------------------
  select(chosen) {
    const isSame = JSON.stringify(chosen) === JSON.stringify(this.selected);
    this.selected = chosen;
    this.mark();
    this.say(this.described());
    if (isSame) return;
    clearTimeout(this.telling);
    this.telling = setTimeout(() => this.tell('selected', chosen), 200);
  }

  described() {
    const chosen = this.selected;
    if (this.connecting) return `Connect ${this.connecting} with: choose the other end, Enter takes it, Escape gives up`;
    if (!chosen) return `${this.data.drawing.items.length} parts. Choose one, or add one from the palette. Arrow keys walk, A goes to the palette.`;
    if (chosen.section === 'links') {
      const tie = this.linkEntry(chosen.id)?.tie;
      return tie ? `Link ${tie.a} to ${tie.b} ${tie.label ? '(' + tie.label + ')' : ''} ${tie.problem}` : '';
    }
    if (chosen.section === 'sites') return `Site ${chosen.id}`;
    const item = this.items.get(chosen.id);
    if (!item) return '';
    const text = this.named(item);
    return text[0].toUpperCase() + text.slice(1) + '.  C connects, L its links, Shift+arrows move, F2 renames, Del removes';
  }

  say(text, isWrong) {
    this.status.textContent = cut(text || '', 400);
    this.status.title = text || '';
    this.status.classList.toggle('wrong', Boolean(isWrong));
  }

  walk(dx, dy) {
    const from = this.target ? this.items.get(this.target) : this.selected && this.items.get(this.selected.id);
    const items = this.data.drawing.items;
    if (!items.length) return;
    let best = null, least = Infinity;
    for (const item of items) {
      if (!from) { best = items[0]; break; }
      const ahead = (item.x - from.x) * dx + (item.y - from.y) * dy;
      const aside = Math.abs((item.x - from.x) * dy) + Math.abs((item.y - from.y) * dx);
      if (ahead > 4 && ahead + 2.5 * aside < least) { least = ahead + 2.5 * aside; best = item; }
    }
    if (!best) return;
    if (this.connecting) this.aim(best.id);
    else this.select({ section: best.section, id: best.id });
    this.reveal(best);
  }

  walkLinks() {
    const of = this.linkOf || (this.selected && this.selected.id);
    const ties = (this.near.get(of) || []).filter(entry => entry.tie.kind === 'link');
    if (!ties.length) { this.say('No link ends here'); return; }
    const now = this.selected.section === 'links' ? ties.findIndex(entry => String(entry.tie.index) === this.selected.id) : -1;
    this.linkOf = of;
    this.select({ section: 'links', id: String(ties[(now + 1) % ties.length].tie.index) });
  }

  // --- doing -------------------------------------------------------------------------------------
  siteOf() {
    if (!this.selected) return '';
    if (this.selected.section === 'sites') return this.selected.id;
    return this.items.get(this.selected.id)?.site || '';
  }

  add(part, place) {
    this.togglePalette(false);
    this.svg.focus({ preventScroll: true });
    const order = { do: 'add', section: part.section, kind: part.kind, site: this.siteOf() };
    if (this.selected && this.selected.section === 'nodes') order.to = this.selected.id;
    if (place) {
      const box = this.data.drawing.boxes.find(each => place.x >= each.x && place.x <= each.x + each.width && place.y >= each.y && place.y <= each.y + each.height);
      if (box) order.site = box.id;
      if (part.section !== 'sites') order.places = { new: [Math.round(place.x - WIDTH / 2), Math.round(place.y - HEIGHT / 2)] };
    }
    this.order(order);
  }

  dragNew(event, part) {
    const start = { x: event.clientX, y: event.clientY };
    let ghost = null;
    const move = moved => {
      if (!ghost && Math.hypot(moved.clientX - start.x, moved.clientY - start.y) > 6) {
        ghost = document.createElement('div');
        ghost.className = 'ghost';
        ghost.textContent = part.label;
        this.root.querySelector('.editor').append(ghost);
      }
      if (ghost) { ghost.style.left = `${moved.clientX + 8}px`; ghost.style.top = `${moved.clientY + 8}px`; }
    };
    const up = released => {
      window.removeEventListener('pointermove', move);
      window.removeEventListener('pointerup', up);
      if (!ghost) return;
      ghost.remove();
      this.dropped = true;
      setTimeout(() => { this.dropped = false; }, 50);
      const box = this.svg.getBoundingClientRect();
      const isOver = released.clientX > box.left && released.clientX < box.right && released.clientY > box.top && released.clientY < box.bottom;
      if (isOver) this.add(part, this.point(released));
    };
    window.addEventListener('pointermove', move);
    window.addEventListener('pointerup', up);
  }

  remove() {
    if (!this.selected) return;
    const { section, id } = this.selected;
    this.selected = null;
    this.order({ do: 'delete', section, id });
  }

  beginConnecting(id) {
    const from = id || (this.selected && this.items.has(this.selected.id) ? this.selected.id : null);
    if (!from || (this.connecting && !id)) { this.stopConnecting(); return; }
    this.connecting = from;
    this.target = null;
    this.select({ section: this.items.get(from).section, id: from });
  }

  aim(id) {
    for (const shape of this.svg.querySelectorAll('.target')) shape.classList.remove('target');
    this.target = id;
    const item = this.items.get(id);
    if (item) this.shapes.get(`${item.section}/${id}`).classList.add('target');
    this.say(item ? `Connect ${this.connecting} with ${id}? Enter takes it` : this.described());
  }

  connectTo(id) {
    const from = this.connecting;
    this.stopConnecting();
    if (id && id !== from) this.order({ do: 'connect', id: from, to: id });
  }

  stopConnecting() {
    this.connecting = null;
    this.aim(null);
    this.target = null;
    this.mark();
    this.say(this.described());
  }

  beginRenaming() {
    if (!this.selected || this.selected.section === 'links') return;
    const shape = this.shapes.get(`${this.selected.section}/${this.selected.id}`);
    if (!shape) return;
    const at = shape.getBoundingClientRect(), stage = this.root.querySelector('.stage').getBoundingClientRect();
    this.form.style.left = `${Math.max(4, Math.min(at.left - stage.left, stage.width - 280))}px`;
    this.form.style.top = `${Math.max(4, Math.min(at.top - stage.top + 40, stage.height - 60))}px`;
    this.form.hidden = false;
    this.input.value = this.selected.id;
    this.input.focus();
    this.input.select();
  }

  press(event, item) {
    if (event.button !== 0) return;
    event.stopPropagation();
    this.svg.focus({ preventScroll: true });
    if (this.connecting) { this.connectTo(item.id); return; }
    if (event.shiftKey && this.selected && this.items.has(this.selected.id) && this.selected.id !== item.id) {
      this.order({ do: 'connect', id: this.selected.id, to: item.id });
      return;
    }
    this.linkOf = null;
    this.select({ section: item.section, id: item.id });
    const start = this.point(event), was = [item.x, item.y];
    let isMoved = false;
    const move = moved => {
      const now = this.point(moved);
      isMoved = isMoved || Math.hypot(now.x - start.x, now.y - start.y) > 4;
      if (isMoved) this.place(item, Math.round(was[0] + now.x - start.x), Math.round(was[1] + now.y - start.y));
    };
    const up = () => {
      window.removeEventListener('pointermove', move);
      window.removeEventListener('pointerup', up);
      if (isMoved) this.order({ do: 'move', places: { [item.id]: [item.x, item.y] } });
    };
    window.addEventListener('pointermove', move);
    window.addEventListener('pointerup', up);
  }

  place(item, x, y) {
    [item.x, item.y] = [x, y];
    this.moved[item.id] = [x, y];
    this.shapes.get(`${item.section}/${item.id}`).setAttribute('transform', `translate(${x},${y})`);
    for (const entry of this.near.get(item.id) || []) this.route(entry);
  }

  nudge(dx, dy) {
    const item = this.selected && this.items.get(this.selected.id);
    if (!item) return;
    this.place(item, item.x + dx * STEP, item.y + dy * STEP);
    clearTimeout(this.nudging);
    this.nudging = setTimeout(() => this.order({ do: 'move', places: { [item.id]: [item.x, item.y] } }), 500);
  }

  // --- listening ---------------------------------------------------------------------------------
  listen() {
    this.svg.addEventListener('keydown', event => this.key(event));
    this.svg.addEventListener('wheel', event => {
      if (!event.ctrlKey && !event.metaKey && this.root.activeElement !== this.svg) return; // the page scrolls
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.12 : 0.89, this.point(event));
    }, { passive: false });
    this.svg.addEventListener('pointerdown', event => this.pan(event));
    this.svg.addEventListener('pointermove', event => this.drawPending(event));
    this.svg.addEventListener('pointerup', event => {
      if (!this.connecting) return;
      const now = this.point(event);
      const item = this.data.drawing.items.find(each => now.x >= each.x && now.x <= each.x + WIDTH && now.y >= each.y && now.y <= each.y + HEIGHT);
      if (item && item.id !== this.connecting) this.connectTo(item.id);
    });
    this.form.addEventListener('submit', event => {
      event.preventDefault();
      const { section, id } = this.selected || {};
      this.form.hidden = true;
      this.svg.focus({ preventScroll: true });
      if (id && this.input.value.trim() !== id) this.order({ do: 'rename', section, id, name: this.input.value });
    });
    this.input.addEventListener('keydown', event => {
      event.stopPropagation();
      if (event.key === 'Escape') { this.form.hidden = true; this.svg.focus({ preventScroll: true }); }
    });
    this.input.addEventListener('blur', () => { this.form.hidden = true; });
  }

  pan(event) {
    if (event.button !== 0) return;
    const isBackground = event.target === this.svg || event.target.closest('.box');
    if (!isBackground) return;
    this.svg.focus({ preventScroll: true });
    if (this.connecting) { this.stopConnecting(); return; }
    if (event.target === this.svg) this.select(null);
    const start = { x: event.clientX, y: event.clientY }, view = { ...this.view };
    const scale = view.width / this.svg.getBoundingClientRect().width;
    const move = moved => {
      this.view = { ...view, x: view.x - (moved.clientX - start.x) * scale, y: view.y - (moved.clientY - start.y) * scale };
      this.look();
    };
    const up = () => { window.removeEventListener('pointermove', move); window.removeEventListener('pointerup', up); };
    window.addEventListener('pointermove', move);
    window.addEventListener('pointerup', up);
  }

  drawPending(event) {
    if (!this.connecting) return;
    const item = this.items.get(this.connecting), now = this.point(event);
    if (!item) return;
    let line = this.svg.querySelector('.pending');
    if (!line) { line = made('path', { class: 'pending' }); this.svg.append(line); }
    line.setAttribute('d', `M${item.x + WIDTH} ${item.y + HEIGHT / 2}L${now.x} ${now.y}`);
  }

  key(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const isCommand = event.ctrlKey || event.metaKey, letter = event.key.toLowerCase();
    let isTaken = true;
    if (event.key in ways) {
      if (event.shiftKey) this.nudge(...ways[event.key]);
      else { this.linkOf = null; this.walk(...ways[event.key]); }
    }
    else if (isCommand && letter === 'z') this.order({ do: event.shiftKey ? 'redo' : 'undo' });
    else if (isCommand && letter === 'y') this.order({ do: 'redo' });
    else if (isCommand || event.altKey) isTaken = false;
    else if (event.key === 'Delete' || event.key === 'Backspace') this.remove();
    else if (event.key === 'F2') this.beginRenaming();
    else if (event.key === 'Enter') { if (this.connecting) this.connectTo(this.target); else this.beginRenaming(); }
    else if (event.key === 'Escape') { if (this.connecting) this.stopConnecting(); else this.select(null); }
    else if (letter === 'c') this.beginConnecting();
    else if (letter === 'l') this.walkLinks();
    else if (letter === 'a') this.togglePalette(true);
    else if (event.key === '+' || event.key === '=') this.zoom(0.8);
    else if (event.key === '-') this.zoom(1.25);
    else if (event.key === '0') this.fit();
    else isTaken = false;
    if (isTaken) { event.preventDefault(); event.stopPropagation(); }
  }
}

export default function (component) {
  const root = component.parentElement;
  if (!root.windtunnelEditor) root.windtunnelEditor = new Editor(root);
  root.windtunnelEditor.show(component);
}
