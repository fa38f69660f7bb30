// Measures: a table of means, and a curve per video and measure, linked to the playhead.

const SVG = "http://www.w3.org/2000/svg";
const CHART_WIDTH = 1000; // units of the drawing; it stretches to the page
const CHART_HEIGHT = 100;
let charts = [];

function svg(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** Numbers of a measure as text; equal videos have an infinite PSNR. */
function spoken(value, measure) {
  if (value === null || value === undefined) return "–";
  return value === "inf" ? "∞" : value.toFixed(measure.digits);
}

const withUnit = (measure) => (measure.unit ? `${measure.title} [${measure.unit}]` : measure.title);

function showMeasures() {
  const section = $("measures");
  const measures = details?.clips[state.clip].measures ?? [];
  section.hidden = measures.length === 0;
  charts = [];
  if (section.hidden) return;
  const first = details.names[0];
  const basis = hasReference()
    ? "Measured on the original files against the reference; arrows tell which way is better. "
    : `Measured on the original files against ${first}: how near to it, not how good. `;
  $("measures-hint").textContent =
    basis +
    `Difference is to ${first}, at the size of the preview. Click a curve to go to that frame.`;
  showMeans(measures);
  $("charts").replaceChildren(...measures.map(makeChart));
  showPlayheads(player.frame);
  showLoopInCharts();
}

/** Whether measures tell good from bad. */
const hasReference = () => details.names.length > details.candidates;

function showMeans(measures) {
  const head = element("tr");
  head.append(element("th", "Mean", { scope: "col" }));
  for (const measure of measures) {
    const arrow = hasReference() ? { true: " ↑", false: " ↓", null: "" }[measure.higher] : "";
    head.append(element("th", withUnit(measure) + arrow, { scope: "col" }));
  }
  const sources = [...new Set(measures.flatMap((measure) => Object.keys(measure.means)))];
  const rows = sources.sort((a, b) => a - b).map((source) => {
    const row = element("tr");
    const name = element("th", "", { scope: "row" });
    name.append(swatch(source), details.names[source]);
    row.append(name);
    for (const measure of measures) {
      const cell = element("td", spoken(measure.means[source], measure));
      cell.classList.toggle("best", isBest(measure, source));
      row.append(cell);
    }
    return row;
  });
  $("means").replaceChildren(element("thead"), element("tbody"));
  $("means").tHead.append(head);
  $("means").tBodies[0].append(...rows);
}

function swatch(source) {
  const mark = element("span", "", { className: "swatch" });
  mark.style.background = colorOf(source);
  return mark;
}

const finite = (value) => (value === "inf" ? Infinity : value);

function isBest(measure, source) {
  const means = Object.values(measure.means).map(finite).filter((value) => value !== null);
  if (!hasReference() || measure.higher === null || means.length < 2) return false;
  const best = measure.higher ? Math.max(...means) : Math.min(...means);
  return finite(measure.means[source]) === best;
}

function makeChart(measure) {
  const figure = element("figure", "", { className: "chart" });
  const caption = element("figcaption");
  const readout = element("span", "", { className: "readout" });
  caption.append(element("span", withUnit(measure)), readout);
  const [low, high] = extent(measure);
  const drawing = svg("svg", {
    viewBox: `0 0 ${CHART_WIDTH} ${CHART_HEIGHT}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": `${measure.title} per frame, from ${spoken(low, measure)} to ${spoken(high, measure)}`,
  });
  const loop = svg("rect", { class: "loop", y: 0, height: CHART_HEIGHT, x: 0, width: 0 });
  drawing.append(loop);
  for (const share of [0.25, 0.5, 0.75]) {
    const y = share * CHART_HEIGHT;
    drawing.append(svg("line", { class: "grid", x1: 0, x2: CHART_WIDTH, y1: y, y2: y }));
  }
  for (const [source, values] of Object.entries(measure.curves)) {
    const path = svg("path", { class: "curve", d: curve(values, low, high) });
    path.style.stroke = colorOf(source);
    drawing.append(path);
  }
  const hover = svg("line", { class: "hover", y1: 0, y2: CHART_HEIGHT, x1: -9, x2: -9 });
  const playhead = svg("line", { class: "playhead", y1: 0, y2: CHART_HEIGHT, x1: 0, x2: 0 });
  drawing.append(hover, playhead);
  const area = element("div", "", { className: "area" });
  area.append(
    element("span", spoken(high, measure), { className: "top-value" }),
    element("span", spoken(low, measure), { className: "bottom-value" }),
    drawing,
  );
  figure.append(caption, area);
  const chart = { measure, readout, playhead, hover, loop, hovered: null };
  charts.push(chart);
  listenToChart(drawing, chart);
  return figure;
}

function listenToChart(drawing, chart) {
  const frameUnder = (event) => {
    const box = drawing.getBoundingClientRect();
    const last = player.times.length - 1;
    return clamp(Math.round(((event.clientX - box.left) / box.width) * last), 0, last);
  };
  drawing.addEventListener("pointerdown", (event) => {
    drawing.setPointerCapture(event.pointerId);
    player.pause();
    player.seek(frameUnder(event));
  });
  drawing.addEventListener("pointermove", (event) => {
    chart.hovered = frameUnder(event);
    if (event.buttons) player.seek(chart.hovered);
    moveLine(chart.hover, chart.hovered);
    showValues(chart);
  });
  drawing.addEventListener("pointerleave", () => {
    chart.hovered = null;
    chart.hover.setAttribute("x1", -9);
    chart.hover.setAttribute("x2", -9);
    showValues(chart);
  });
}

/** The range of a measure over all curves, with a little air. */
function extent(measure) {
  let low = Infinity;
  let high = -Infinity;
  for (const values of Object.values(measure.curves)) {
    for (const value of values) {
      if (typeof value !== "number") continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (low > high) return [0, 1];
  const air = (high - low) * 0.08 || Math.abs(high) * 0.05 || 1;
  return [low < 0 ? low - air : Math.max(0, low - air), high + air];
}

function curve(values, low, high) {
  const step = CHART_WIDTH / Math.max(values.length - 1, 1);
  let path = "";
  let isDrawing = false;
  values.forEach((value, frame) => {
    if (value === null) {
      isDrawing = false; // a gap
      return;
    }
    const share = value === "inf" ? 1 : (value - low) / (high - low);
    const y = (1 - clamp(share, 0, 1)) * CHART_HEIGHT;
    path += `${isDrawing ? "L" : "M"}${(frame * step).toFixed(1)} ${y.toFixed(2)}`;
    isDrawing = true;
  });
  return path;
}

const xOf = (frame) => (CHART_WIDTH * frame) / Math.max(player.times.length - 1, 1);

function moveLine(line, frame) {
  line.setAttribute("x1", xOf(frame));
  line.setAttribute("x2", xOf(frame));
}

function showPlayheads(frame) {
  for (const chart of charts) {
    moveLine(chart.playhead, frame);
    showValues(chart);
  }
}

function showValues({ measure, readout, hovered }) {
  const frame = hovered ?? player.frame;
  const items = Object.entries(measure.curves).map(([source, values]) => {
    const item = element("span", spoken(values[frame], measure));
    item.prepend(swatch(source));
    item.title = details.names[source];
    return item;
  });
  readout.replaceChildren(...items);
}

function showLoopInCharts() {
  for (const { loop } of charts) {
    const { first, last } = player.range;
    loop.setAttribute("x", xOf(first));
    loop.setAttribute("width", player.isWhole ? 0 : Math.max(xOf(last) - xOf(first), 2));
  }
}
