// Mouse, pen and fingers on the stage: move the split, pan, zoom.

const GRAB = 24; // how near to the divider a press takes it [CSS pixels]
const fingers = new Map();
let dragging = null; // "split" or "pan"

function onCanvas(event) {
  const box = stage.getBoundingClientRect();
  const density = canvas.width / box.width;
  return { x: (event.clientX - box.left) * density, y: (event.clientY - box.top) * density };
}

stage.addEventListener("pointerdown", (event) => {
  if (!view.clip || event.button > 1) return;
  stage.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, onCanvas(event));
  const box = stage.getBoundingClientRect();
  const distance = Math.abs(event.clientX - box.left - view.split * box.width);
  const takesSplit = view.mode === "split" && event.button === 0;
  dragging = takesSplit && (distance < GRAB || view.zoom === 1) ? "split" : "pan";
  if (dragging === "split") {
    setSplit((event.clientX - box.left) / box.width);
    $("divider").focus({ preventScroll: true });
  }
  event.preventDefault();
});

stage.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const now = onCanvas(event);
  if (fingers.size === 2) pinch(event.pointerId, now);
  else if (dragging === "split") setSplit(now.x / canvas.width);
  else panBy(now.x - before.x, now.y - before.y);
  fingers.set(event.pointerId, now);
});

for (const name of ["pointerup", "pointercancel"]) {
  stage.addEventListener(name, (event) => {
    fingers.delete(event.pointerId);
    if (fingers.size === 0) dragging = null;
  });
}

function pinch(moved, now) {
  const [[, other]] = [...fingers].filter(([id]) => id !== moved);
  const before = fingers.get(moved);
  const spread = (point) => Math.hypot(point.x - other.x, point.y - other.y);
  const middleX = (now.x + other.x) / 2;
  const middleY = (now.y + other.y) / 2;
  zoomTo((view.zoom * spread(now)) / Math.max(spread(before), 1), middleX, middleY);
  panBy((now.x - before.x) / 2, (now.y - before.y) / 2);
}

stage.addEventListener(
  "wheel",
  (event) => {
    // An unmodified wheel scrolls the page, except where the picture is zoomed or fills the screen.
    const isMeant = event.ctrlKey || view.zoom > 1 || document.fullscreenElement;
    if (!view.clip || !isMeant) return;
    event.preventDefault();
    const { x, y } = onCanvas(event);
    zoomTo(view.zoom * Math.exp(-event.deltaY / 300), x, y);
  },
  { passive: false },
);

stage.addEventListener("dblclick", (event) => {
  const { x, y } = onCanvas(event);
  zoomTo(view.zoom > 1 ? 1 : 4, x, y);
});
