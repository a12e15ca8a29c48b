// The scenario's text. What is typed is sent a moment later; a text from elsewhere replaces it by its revision.
const PAUSE_MS = 450, LINE = 19, MOST_COLOURED = 300000;
const TOKENS = /(#.*$)|("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')|((?:^|[{,\s])(?:- )*)([A-Za-z0-9_.-]+)(?=:(?:\s|$))|(\b\d[\d.,]*(?:\s?(?:ms|us|ns|s|min|h|d|%|[kMG]?bit\/s|[kMG]?B))?\b)/g;
const NS = 'http://www.w3.org/2000/svg';

function sign(path) {
  const svg = document.createElementNS(NS, 'svg');
  for (const [key, value] of Object.entries({ width: 15, height: 15, viewBox: '0 0 24 24', fill: 'none', stroke: 'currentColor', 'stroke-width': 2.2, 'stroke-linecap': 'round', 'aria-hidden': 'true' })) svg.setAttribute(key, value);
  const line = document.createElementNS(NS, 'path');
  line.setAttribute('d', path);
  svg.append(line);
  return svg;
}

function piece(text, name) {
  if (!name) return document.createTextNode(text);
  const span = document.createElement('span');
  span.className = name;
  span.textContent = text;
  return span;
}

class Code {
  constructor(root) {
    this.root = root;
    this.area = root.querySelector('textarea');
    this.ink = root.querySelector('.ink');
    this.gutter = root.querySelector('.gutter');
    this.found = root.querySelector('.found');
    this.revision = null;
    this.sent = 0;
    this.waiting = [];
    this.colours = [];
    this.area.addEventListener('input', () => this.typed());
    this.area.addEventListener('scroll', () => this.scrolled());
    this.area.addEventListener('keydown', event => this.key(event));
    this.area.addEventListener('blur', () => this.flush());
  }

  show(component) {
    this.send = component.setTriggerValue;
    const data = this.data = component.data;
    this.waiting = this.waiting.filter(order => order.n > data.acked);
    if (this.sent < data.acked) this.sent = data.acked;
    const revision = `${data.scenario} ${data.revision}`;
    if (revision !== this.revision) {
      const at = this.area.selectionStart, top = this.area.scrollTop, isOther = this.scenario !== data.scenario;
      this.revision = revision;
      this.scenario = data.scenario;
      clearTimeout(this.pause);
      this.pause = null;
      if (this.area.value !== data.text) this.area.value = data.text;
      if (isOther) { this.area.scrollTop = 0; this.area.setSelectionRange(0, 0); }
      else { this.area.setSelectionRange(Math.min(at, data.text.length), Math.min(at, data.text.length)); this.area.scrollTop = top; }
      if (data.line && !isOther) this.reveal(data.line);
    } else if (data.line && data.line !== this.line) this.reveal(data.line);
    this.line = data.line;
    this.paint();
    this.list();
  }

  typed() {
    this.paint();
    clearTimeout(this.pause);
    this.pause = setTimeout(() => this.flush(), PAUSE_MS);
  }

  flush() {
    if (!this.pause) return;
    clearTimeout(this.pause);
    this.pause = null;
    this.order({ do: 'type', text: this.area.value });
  }

  order(order) {
    if (order.do === 'type') this.waiting = this.waiting.filter(each => each.do !== 'type');
    this.waiting.push({ n: ++this.sent, ...order });
    this.send('orders', { orders: this.waiting });
  }

  key(event) {
    const letter = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && (letter === 'z' || letter === 'y')) {
      event.preventDefault();
      this.flush();
      this.order({ do: letter === 'y' || event.shiftKey ? 'redo' : 'undo' });
    } else if (event.key === 'Enter' && !event.ctrlKey && !event.metaKey) {
      const before = this.area.value.slice(this.area.value.lastIndexOf('\n', this.area.selectionStart - 1) + 1, this.area.selectionStart);
      const indent = /^ */.exec(before)[0];
      if (!indent) return;
      event.preventDefault();
      this.area.setRangeText('\n' + indent, this.area.selectionStart, this.area.selectionEnd, 'end');
      this.typed();
    }
  }

  scrolled() {
    this.ink.scrollTop = this.area.scrollTop;
    this.ink.scrollLeft = this.area.scrollLeft;
    this.gutter.scrollTop = this.area.scrollTop;
  }

  reveal(line) {
    const middle = (line - 1) * LINE - this.area.clientHeight / 2;
    if ((line - 1) * LINE < this.area.scrollTop || line * LINE > this.area.scrollTop + this.area.clientHeight) this.area.scrollTop = Math.max(0, middle);
    this.scrolled();
  }

  paint() {
    const text = this.area.value, lines = text.split('\n');
    const isPlain = text.length > MOST_COLOURED;
    this.area.classList.toggle('plain', isPlain);
    const marks = new Map(), own = new Map();
    if (text === this.data.text) {
      for (const issue of this.data.issues) marks.set(issue.line, [...(marks.get(issue.line) || []), issue]);
      for (const span of this.data.overrides) own.set(span.line, [...(own.get(span.line) || []), span]);
    }
    if (isPlain) this.ink.replaceChildren();
    else {
      const old = this.colours;
      this.colours = lines.map((line, index) => {
        const wrong = marks.get(index + 1) || [], kept = own.get(index + 1) || [];
        const key = `${line}\n${wrong.map(each => `${each.column},${each.length}`)}|${kept.map(each => `${each.column},${each.length}`)}`;
        if (old[index] && old[index].key === key) return old[index];
        const row = document.createElement('div');
        row.append(...this.coloured(line, wrong, kept), '\u200b');
        return { key, row };
      });
      this.ink.replaceChildren(...this.colours.map(each => each.row));
    }
    this.number(lines.length, marks);
    this.scrolled();
  }

  coloured(line, wrong, own) {
    const kinds = new Array(line.length).fill('');
    if (line.length < 2000) for (const found of line.matchAll(TOKENS)) {
      const [all, comment, text, lead, key, number] = found;
      if (comment !== undefined && found.index > 0 && !/\s/.test(line[found.index - 1])) continue;
      const [start, length, kind] = comment !== undefined ? [found.index, all.length, 'comment'] : text !== undefined ? [found.index, all.length, 'text']
        : key !== undefined ? [found.index + lead.length, key.length, 'key'] : [found.index, number.length, 'number'];
      kinds.fill(kind, start, start + length);
    }
    for (const [spans, name] of [[own, ' own'], [wrong, ' bad']])
      for (const span of spans) for (let at = span.column - 1; at < Math.min(line.length, span.column - 1 + span.length); at++) kinds[at] += name;
    const pieces = [];
    for (let start = 0, at = 1; at <= line.length; at++)
      if (at === line.length || kinds[at] !== kinds[start]) { pieces.push(piece(line.slice(start, at), kinds[start].trim())); start = at; }
    return pieces;
  }

  number(count, marks) {
    const wrong = [...marks.keys()].join();
    if (this.numbered === `${count} ${wrong}`) return;
    this.numbered = `${count} ${wrong}`;
    const rows = [];
    for (let line = 1; line <= count; line++) {
      const row = document.createElement('div');
      row.textContent = String(line);
      if (marks.has(line)) row.className = 'wrong';
      rows.push(row);
    }
    const last = document.createElement('div');
    last.textContent = '\u200b';
    this.gutter.replaceChildren(...rows, last, last.cloneNode(true));
  }

  list() {
    const { issues, fine } = this.data;
    if (!issues.length) {
      const line = document.createElement('div');
      line.className = 'fine';
      line.append(sign('M4 12.5l5 5L20 6.5'), fine);
      this.found.replaceChildren(line);
      return;
    }
    this.found.replaceChildren(...issues.map(issue => {
      const button = document.createElement('button');
      button.type = 'button';
      button.title = 'Go to the line';
      const where = piece(`${issue.line}:${issue.column}`, 'where'), what = piece('', 'what');
      what.append(`${issue.code}  ${issue.message}${issue.label ? ' – ' + issue.label : ''} `, piece(issue.help, 'help'));
      const mark = piece('', 'wrong-mark');
      mark.append(sign('M12 7v6M12 17v.01M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z'));
      button.append(mark, where, what);
      button.addEventListener('click', () => this.go(issue));
      return button;
    }));
  }

  go(issue) {
    const lines = this.area.value.split('\n');
    let start = 0;
    for (let line = 1; line < issue.line; line++) start += lines[line - 1].length + 1;
    this.area.focus();
    this.area.setSelectionRange(start + issue.column - 1, start + issue.column - 1 + issue.length);
    this.reveal(issue.line);
  }
}

export default function (component) {
  const root = component.parentElement;
  if (!root.windtunnelCode) root.windtunnelCode = new Code(root);
  root.windtunnelCode.show(component);
}
