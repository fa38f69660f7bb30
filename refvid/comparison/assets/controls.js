// Buttons and fields around the stage.

const player = new Player(video);

/** What a tile is called: by its side while the page is blind. */
function nameOf(tile, side) {
  return details ? details.names[sourceOf(tile)] : side;
}

/** Which video lies on a tile; only known once names may be shown. */
function sourceOf(tile) {
  return details.clips[state.clip].sources[tile];
}

function showSides() {
  if (!view.clip) return;
  const sides = [
    ["left", view.left, "Left"],
    ["right", view.right, "Right"],
  ];
  for (const [side, tile, word] of sides) {
    const name = nameOf(tile, word);
    const color = details ? colorOf(sourceOf(tile)) : side === "left" ? "var(--c0)" : "var(--c1)";
    $(`${side}-name`).textContent = name;
    $(`${side}-name`).style.setProperty("--own", color);
    $(`${side}-swatch`).style.background = color;
    $(side).value = String(tile);
  }
  const [left, right] = [nameOf(view.left, "Left"), nameOf(view.right, "Right")];
  const how = { split: "split at the divider", beside: "side by side", difference: "subtracted" };
  canvas.setAttribute("aria-label", `${left} and ${right}, ${how[view.mode]}`);
}

function fillSides() {
  const tiles = details
    ? [...details.clips[state.clip].sources.keys()].sort((a, b) => sourceOf(a) - sourceOf(b))
    : [view.left, view.right];
  for (const side of ["left", "right"]) {
    $(side).replaceChildren(
      ...tiles.map((tile) => element("option", nameOf(tile, ""), { value: String(tile) })),
    );
  }
  $("sides").classList.toggle("blind", !details);
}

/** Choose what is compared; choosing the other side's video swaps. */
function chooseSide(side, tile) {
  const other = side === "left" ? "right" : "left";
  if (view[other] === tile) view[other] = view[side];
  view[side] = tile;
  showSides();
  if (details && details.candidates > 2) showMoments();
  draw();
}

function swapSides() {
  [view.left, view.right] = [view.right, view.left];
  showSides();
  draw();
}

function setMode(mode) {
  view.mode = mode;
  document.querySelector(`input[name="mode"][value="${mode}"]`).checked = true;
  stage.dataset.mode = mode;
  $("gain-choice").hidden = mode !== "difference";
  $("divider").hidden = mode !== "split";
  showSides();
  fitCanvas();
}

function togglePlay() {
  if (player.isPlaying) player.pause();
  else player.play();
}

function toggleFullscreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else stage.requestFullscreen?.();
}

function setRepeat(repeats) {
  player.repeats = repeats;
  $("repeat").setAttribute("aria-pressed", repeats);
}

function setLoop(first, last) {
  player.setRange(first, last);
  const count = player.times.length;
  const bar = $("loop-bar");
  bar.style.left = `${(100 * player.range.first) / count}%`;
  bar.style.right = `${(100 * (count - 1 - player.range.last)) / count}%`;
  bar.classList.toggle("whole", player.isWhole);
  $("loop-clear").disabled = player.isWhole;
  showLoopInCharts();
}

const loopFromHere = () => setLoop(player.frame, Math.max(player.range.last, player.frame));
const loopToHere = () => setLoop(Math.min(player.range.first, player.frame), player.frame);
const loopAll = () => setLoop(0, player.times.length - 1);

function showClock(frame) {
  const last = player.times.length - 1;
  const text = `frame ${frame} of ${last}`;
  $("clock").value = `${text} · ${player.times[frame].toFixed(3)} s`;
  const seek = $("seek");
  seek.value = frame;
  seek.setAttribute("aria-valuetext", text);
  seek.style.setProperty("--done", `${last ? (100 * frame) / last : 0}%`);
  stage.dataset.frame = frame;
}

player.onFrame = (frame) => {
  takeFrame();
  showClock(frame);
  showPlayheads(frame);
};

player.onState = () => {
  const isPlaying = player.isPlaying;
  $("play-icon").setAttribute("href", isPlaying ? "#icon-pause" : "#icon-play");
  $("play").setAttribute("aria-label", isPlaying ? "Pause" : "Play");
};

$("left").addEventListener("change", (event) => chooseSide("left", Number(event.target.value)));
$("right").addEventListener("change", (event) => chooseSide("right", Number(event.target.value)));
$("swap").addEventListener("click", swapSides);
$("modes").addEventListener("change", (event) => setMode(event.target.value));
$("gain").addEventListener("change", (event) => {
  view.gain = Number(event.target.value);
  draw();
});
$("zoom-in").addEventListener("click", () => zoomTo(view.zoom * 1.5));
$("zoom-out").addEventListener("click", () => zoomTo(view.zoom / 1.5));
$("zoom-reset").addEventListener("click", () => zoomTo(1));
$("fullscreen").addEventListener("click", toggleFullscreen);
$("back").addEventListener("click", () => player.step(-1));
$("ahead").addEventListener("click", () => player.step(1));
$("play").addEventListener("click", togglePlay);
$("seek").addEventListener("input", (event) => {
  player.pause();
  player.seek(Number(event.target.value));
});
$("speed").addEventListener("change", (event) => {
  video.playbackRate = Number(event.target.value);
});
$("repeat").addEventListener("click", () => setRepeat(!player.repeats));
$("loop-in").addEventListener("click", loopFromHere);
$("loop-out").addEventListener("click", loopToHere);
$("loop-clear").addEventListener("click", loopAll);
