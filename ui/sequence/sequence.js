// A message chain as a sequence diagram: nodes side by side, time from top to bottom. Text is set as text.

const NS = "http://www.w3.org/2000/svg";
const LEFT = 84, TOP = 58, ROW = 46, LEAST_LANE = 132, MOST_LANE = 260, RIGHT = 70;

function node(tag, attributes, text) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function fitted(text, most) {
  return text.length <= most ? text : `\u2026${text.slice(text.length - most + 1)}`;
}

function diagram(data, width, onseek) {
  const lanes = data.nodes, steps = data.steps;
  const lane = Math.min(Math.max((width - LEFT - RIGHT) / Math.max(lanes.length - 1, 1), LEAST_LANE), MOST_LANE);
  const x = new Map(lanes.map((name, k) => [name, LEFT + 40 + k * lane]));
  const full = LEFT + 40 + (lanes.length - 1) * lane + RIGHT + 40, high = TOP + steps.length * ROW + 26;
  const svg = node("svg", { viewBox: `0 0 ${full} ${high}`, width: full, height: high, role: "group", "aria-labelledby": data.id });
  svg.append(node("title", { id: data.id }, data.label));
  const chars = Math.floor(lane / 7.4);
  for (const name of lanes) {
    svg.append(node("line", { class: "life", x1: x.get(name), y1: 38, x2: x.get(name), y2: high - 8 }));
    const text = fitted(name, chars), w = Math.min(Math.max(text.length * 7.6 + 20, 60), lane - 8);
    svg.append(node("rect", { class: "head", x: x.get(name) - w / 2, y: 8, width: w, height: 30, rx: 7 }));
    const head = node("text", { class: "name", x: x.get(name), y: 28 }, text);
    head.append(node("title", {}, name));
    svg.append(head);
  }
  steps.forEach((step, k) => svg.append(row(step, TOP + k * ROW, x, lane, onseek)));
  return svg;
}

function row(step, y, x, lane, onseek) {
  const group = node("g", { class: `step ${step.kind}${step.isLongest ? " longest" : ""}`, tabindex: "0", role: "button", "aria-label": step.words });
  group.addEventListener("click", () => onseek(step.at_s));
  group.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); onseek(step.at_s); }
  });
  group.append(node("rect", { class: "hit", x: 0, y: y - 6, width: "100%", height: ROW - 2 }));
  group.append(node("text", { class: "time", x: 4, y: y + 17 }, step.clock));
  const from = x.get(step.source), to = x.get(step.to);
  if (step.kind === "wait") {
    group.append(node("rect", { class: "bar", x: from - 5, y: y - 4, width: 10, height: ROW - 10, rx: 3 }));
    const isLast = from === Math.max(...x.values()) && x.size > 1;
    const side = { x: isLast ? from - 14 : from + 14, "text-anchor": isLast ? "end" : "start" };
    group.append(node("text", { class: "what", ...side, y: y + 12 }, step.label));
    group.append(node("text", { class: "took", ...side, y: y + 27 }, step.took));
    return group;
  }
  const way = Math.sign(to - from), isLost = step.kind === "lost";
  const end = isLost ? from + (to - from) * 0.62 : to - way * 7;
  group.append(node("line", { class: "arrow", x1: from + way * 3, y1: y + 20, x2: end, y2: y + 20 }));
  group.append(isLost
    ? node("path", { class: "cross", d: `M${end - 6} ${y + 14}l12 12m0-12l-12 12` })
    : node("path", { class: "tip", d: `M${to} ${y + 20}l${-way * 9} -5v10z` }));
  const middle = (from + (isLost ? end : to)) / 2, most = Math.floor((Math.abs(to - from) - 16) / 6.3);
  const what = node("text", { class: "what middle", x: middle, y: y + 13 }, fitted(step.label, Math.max(most, 14)));
  what.append(node("title", {}, step.topic));
  group.append(what, node("text", { class: "took middle", x: middle, y: y + 34 }, step.took));
  return group;
}

export default function component({ data, parentElement, setTriggerValue }) {
  const host = parentElement.querySelector(".sequence");
  const listed = document.createElement("ol");
  listed.className = "words";
  for (const step of data.steps) {
    const item = document.createElement("li");
    item.textContent = step.words;
    listed.append(item);
  }
  const draw = () => {
    const width = host.clientWidth;
    if (!width || width === host.drawnWidth) return;
    host.drawnWidth = width;
    host.replaceChildren(diagram(data, width, (t) => setTriggerValue("seek", t)), listed);
  };
  host.drawnWidth = 0;
  if (host.watch) host.watch.disconnect();
  host.watch = new ResizeObserver(draw);
  host.watch.observe(host);
  draw();
  return () => host.watch.disconnect();
}
