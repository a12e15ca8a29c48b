// Colours of the page's theme. The variables are Streamlit's; without it the system's light or dark is taken.

const LIGHT = {
  text: "#1c2430", background: "#ffffff", surface: "#f4f6f9", border: "#d5dbe4", primary: "#1f6feb",
};
const DARK = {
  text: "#e8ecf2", background: "#0e1117", surface: "#1a1f29", border: "#343c4a", primary: "#6ea8fe",
};

function luminance(colour) {
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  probe.fillStyle = colour;
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
  return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
}

function paletteOf(element) {
  const style = getComputedStyle(element);
  const said = (name) => style.getPropertyValue(`--st-${name}`).trim();
  const background = said("background-color");
  const isDark = background ? luminance(background) < 0.4 : matchMedia("(prefers-color-scheme: dark)").matches;
  const base = isDark ? DARK : LIGHT;
  const pick = (light, dark) => (isDark ? dark : light);
  return {
    isDark,
    font: said("font") || "system-ui, sans-serif",
    text: said("text-color") || base.text,
    background: background || base.background,
    surface: said("secondary-background-color") || base.surface,
    border: said("border-color") || base.border,
    primary: said("primary-color") || base.primary,
    floor: pick("#ffffff", "#171c25"),
    wall: pick("#7d8897", "#687385"),
    aisle: pick("#eef1f5", "#1f2631"),
    dash: pick("#ccd4de", "#3a4453"),
    bay: pick("#dde3ea", "#2b3442"),
    faint: pick("#5f6b7a", "#95a1b3"),
    rest: pick("#a3afbf", "#56637a"),
    moving: pick("#1f6feb", "#5c9dff"),
    queueing: pick("#d97a06", "#ffae42"),
    person: pick("#0f8a7e", "#38c9b8"),
    personRest: pick("#8fa9a6", "#55736f"),
    glass: pick("rgba(255,255,255,.62)", "rgba(8,12,18,.55)"),
    halo: pick("rgba(255,255,255,.9)", "rgba(14,17,23,.9)"),
    danger: pick("#c62f1d", "#ff6b57"),
    alarm: pick("#b45d00", "#ffb347"),
    fault: pick("#7a3fc0", "#c09bff"),
    decision: pick("#1f6feb", "#6ea8fe"),
    motion: pick("#12754a", "#46c98b"),
    other: pick("#5f6b7a", "#95a1b3"),
    open: pick("#12754a", "#46c98b"),
    closed: pick("#c62f1d", "#ff6b57"),
    device: pick("#5b6ee1", "#8e9bff"),
    smoke: pick("58,62,70", "176,182,192"),
  };
}
