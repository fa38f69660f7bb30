// Drawing: parts of the video's frame onto the canvas, split, beside each other or subtracted.

const canvas = $("canvas");
const stage = $("stage");
const pen = canvas.getContext("2d", { alpha: false });
const video = $("video");

const view = {
  clip: null,
  left: 0, // tiles
  right: 1,
  mode: "split",
  split: 0.5, // share of the stage's width
  zoom: 1, // 1 fits the stage
  x: 0.5, // the point of the picture in the middle
  y: 0.5,
  gain: 4,
};

const LARGEST_ZOOM = 32;
const GUTTER = 2;
const SHARP_FROM = 3; // device pixels per pixel of the preview

// The video may move on between two calls: both sides are cut out of one copy.
const still = document.createElement("canvas");
const stillPen = still.getContext("2d", { alpha: false });

/** Take the frame that the video shows now, and draw it. */
function takeFrame() {
  if (!video.videoWidth) return;
  if (still.width !== video.videoWidth || still.height !== video.videoHeight) {
    still.width = video.videoWidth;
    still.height = video.videoHeight;
  }
  stillPen.drawImage(video, 0, 0);
  draw();
}

/** The areas of the canvas that show a picture: [left, width] each. */
function panes() {
  if (view.mode !== "beside") return [[0, canvas.width]];
  const half = Math.floor(canvas.width / 2) - GUTTER;
  return [
    [0, half],
    [canvas.width - half, half],
  ];
}

/** Device pixels per pixel of the preview. */
function scale() {
  const [, width] = panes()[0];
  return Math.min(width / view.clip.width, canvas.height / view.clip.height) * view.zoom;
}

/** Where the whole picture lies in a pane. */
function place([left, width]) {
  const size = scale();
  const w = view.clip.width * size;
  const h = view.clip.height * size;
  const x = left + width / 2 - view.x * w;
  const y = canvas.height / 2 - view.y * h;
  return { x, y, w, h };
}

function draw() {
  if (!view.clip || !still.width) return;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.globalCompositeOperation = "source-over";
  pen.fillStyle = view.mode === "difference" ? "#000" : "#0b0c0f"; // black stays black
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingEnabled = scale() < SHARP_FROM;
  pen.imageSmoothingQuality = "high";
  const [first, second] = panes();
  if (view.mode === "split") {
    const middle = Math.round(view.split * canvas.width);
    paint(view.left, first, 0, middle);
    paint(view.right, first, middle, canvas.width - middle);
  } else if (view.mode === "beside") {
    paint(view.left, first, ...first);
    paint(view.right, second, ...second);
  } else {
    paint(view.left, first, ...first);
    paint(view.right, first, ...first, "difference");
    // Brightness by adding the picture to itself: all browsers can do that.
    pen.imageSmoothingEnabled = false;
    pen.globalCompositeOperation = "lighter";
    for (let gain = 1; gain < view.gain; gain *= 2) pen.drawImage(canvas, 0, 0);
  }
}

/** Draw a tile into a pane, only between two columns of the canvas. */
function paint(tile, pane, from, width, operation = "source-over") {
  if (width <= 0) return;
  const [sourceX, sourceY] = view.clip.corners[tile];
  const { x, y, w, h } = place(pane);
  // Whole pixels: half covered ones at the edge would differ from both pictures.
  const [left, top] = [Math.round(x), Math.round(y)];
  const [right, bottom] = [Math.round(x + w), Math.round(y + h)];
  pen.save();
  pen.beginPath();
  pen.rect(from, 0, width, canvas.height);
  pen.clip();
  pen.globalCompositeOperation = operation;
  const cutOut = [sourceX, sourceY, view.clip.width, view.clip.height];
  pen.drawImage(still, ...cutOut, left, top, right - left, bottom - top);
  pen.restore();
}

/** Zoom, keeping a point of the canvas where it is. */
function zoomTo(zoom, pointX = canvas.width / 2, pointY = canvas.height / 2) {
  const pane = panes().find(([left, width]) => pointX <= left + width) ?? panes()[0];
  const before = place(pane);
  const u = (pointX - before.x) / before.w;
  const v = (pointY - before.y) / before.h;
  view.zoom = clamp(zoom, 1, LARGEST_ZOOM);
  const after = place(pane);
  view.x += u - (pointX - after.x) / after.w;
  view.y += v - (pointY - after.y) / after.h;
  settleView();
}

function panBy(pixelsX, pixelsY) {
  const size = scale();
  view.x -= pixelsX / (view.clip.width * size);
  view.y -= pixelsY / (view.clip.height * size);
  settleView();
}

/** Keep the picture in sight, and tell what changed. */
function settleView() {
  const size = scale();
  const [, width] = panes()[0];
  const reachX = width / (2 * view.clip.width * size);
  const reachY = canvas.height / (2 * view.clip.height * size);
  view.x = reachX >= 0.5 ? 0.5 : clamp(view.x, reachX, 1 - reachX);
  view.y = reachY >= 0.5 ? 0.5 : clamp(view.y, reachY, 1 - reachY);
  $("zoom-text").value = view.zoom === 1 ? "fit" : `${Math.round(view.zoom * 100)} %`;
  stage.classList.toggle("zoomed", view.zoom > 1);
  draw();
}

function setSplit(share) {
  view.split = clamp(share, 0, 1);
  const percent = Math.round(view.split * 100);
  const divider = $("divider");
  divider.style.left = `${view.split * 100}%`;
  divider.setAttribute("aria-valuenow", percent);
  divider.setAttribute("aria-valuetext", `${percent} % of the width shows the left video`);
  draw();
}

/** Give the canvas one pixel per pixel of the screen. */
function fitCanvas() {
  if (!view.clip) return;
  const across = view.mode === "beside" ? 2 : 1;
  stage.style.aspectRatio = `${view.clip.width * across} / ${view.clip.height}`;
  const density = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(stage.clientWidth * density));
  const height = Math.max(1, Math.round(stage.clientHeight * density));
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  settleView();
}

new ResizeObserver(fitCanvas).observe(stage);
