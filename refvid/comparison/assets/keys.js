// The keyboard, everywhere on the page but in fields that need it themselves.

const PAN = 60; // device pixels per press

const KEYS = [
  { label: "Space", what: "Play or pause", on: { " ": togglePlay } },
  {
    label: "← →",
    what: "One frame back or ahead; with Shift ten",
    on: {
      ArrowLeft: (event) => player.step(event.shiftKey ? -10 : -1),
      ArrowRight: (event) => player.step(event.shiftKey ? 10 : 1),
    },
  },
  {
    label: "Home End",
    what: "First or last frame of the loop",
    on: {
      Home: () => player.seek(player.range.first),
      End: () => player.seek(player.range.last),
    },
  },
  {
    label: "A D",
    what: "Divider to the left or right; with Shift further",
    on: {
      a: (event) => setSplit(view.split - (event.shiftKey ? 0.1 : 0.02)),
      d: (event) => setSplit(view.split + (event.shiftKey ? 0.1 : 0.02)),
    },
  },
  { label: "X", what: "Swap sides", on: { x: swapSides } },
  {
    label: "S B V",
    what: "Slider, side by side, difference",
    on: {
      s: () => setMode("split"),
      b: () => setMode("beside"),
      v: () => setMode("difference"),
    },
  },
  {
    label: "+ − 0",
    what: "Zoom in, zoom out, fit (0 is a vote on blind pages)",
    on: {
      "+": () => zoomTo(view.zoom * 1.5),
      "=": () => zoomTo(view.zoom * 1.5),
      "-": () => zoomTo(view.zoom / 1.5),
      0: () => (isVoting() ? vote("tie") : zoomTo(1)),
    },
  },
  {
    label: "I J K M",
    what: "Look up, left, right, down where zoomed",
    on: {
      i: () => panBy(0, PAN),
      j: () => panBy(PAN, 0),
      k: () => panBy(-PAN, 0),
      m: () => panBy(0, -PAN),
    },
  },
  {
    label: "[ ] \\",
    what: "Loop from here, to here, everything",
    on: { "[": loopFromHere, "]": loopToHere, "\\": loopAll },
  },
  { label: "L", what: "Repeat on or off", on: { l: () => setRepeat(!player.repeats) } },
  { label: "F", what: "Full screen", on: { f: toggleFullscreen } },
  {
    label: "1 0 2",
    what: "Vote: left is better, no difference, right is better",
    on: { 1: () => vote("left"), 2: () => vote("right") },
    isForVotes: true,
  },
  { label: "?", what: "This list", on: { "?": () => $("help").showModal() } },
];

const isVoting = () => report.blind && !ballot.isRevealed;

const ACTIONS = Object.assign({}, ...KEYS.map((key) => key.on));

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open || !view.clip) return;
  const target = event.target;
  const isField = target.matches("select, input[type=radio], input[type=text]");
  const isArrow = event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End";
  if (target === $("divider") && isArrow) return moveDivider(event);
  // Fields, buttons and the timeline already do something with these keys.
  if (isField && (isArrow || event.key === " ")) return;
  if (target.matches("select") && event.key.length === 1) return;
  if (target.matches("button, summary") && event.key === " ") return;
  if (target === $("seek") && event.shiftKey === false && isArrow) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const action = ACTIONS[key];
  if (!action) return;
  event.preventDefault();
  action(event);
});

function moveDivider(event) {
  const step = event.shiftKey ? 0.1 : 0.02;
  const targets = {
    ArrowLeft: view.split - step,
    ArrowRight: view.split + step,
    ArrowDown: view.split - step,
    ArrowUp: view.split + step,
    Home: 0,
    End: 1,
  };
  event.preventDefault();
  setSplit(targets[event.key]);
}

function showKeys() {
  const rows = KEYS.filter((key) => !key.isForVotes || report.blind).flatMap((key) => {
    const label = element("dt");
    for (const name of key.label.split(" ")) label.append(element("kbd", name), " ");
    return [label, element("dd", key.what)];
  });
  $("keys").replaceChildren(...rows);
}

$("help-open").addEventListener("click", () => $("help").showModal());
