// From the data to a page that is ready.

const state = { clip: -1 };

async function openClip(clip, left, right) {
  const isNew = clip !== state.clip;
  state.clip = clip;
  view.left = left;
  view.right = right;
  $("clip").value = String(clip);
  if (isNew) {
    player.pause();
    $("waiting").hidden = false;
    view.clip = report.clips[clip];
    $("seek").max = view.clip.times.length - 1;
    try {
      await player.load(view.clip, mediaOf(clip));
    } catch (error) {
      return fail(error);
    }
    $("waiting").hidden = true;
    setLoop(0, player.times.length - 1);
    zoomTo(1);
  }
  fillSides();
  showSides();
  showMeasures();
  showMoments();
  showAbout();
  fitCanvas();
}

/** The first two candidates, or the first and the reference. */
function openPlainly(clip) {
  const { sources } = details.clips[clip];
  return openClip(clip, sources.indexOf(0), sources.indexOf(1));
}

/** Everything that tells candidates apart. */
function showNames() {
  details = readDetails();
  fillClips();
  fillSides();
  showSides();
  showMeasures();
  showMoments();
  showAbout();
}

function fillClips() {
  $("clip-choice").hidden = report.clips.length < 2 || !details;
  if (!details) return;
  $("clip").replaceChildren(
    ...details.clips.map(({ name }, index) => element("option", name, { value: String(index) })),
  );
  $("clip").value = String(Math.max(state.clip, 0));
}

function showAbout() {
  const { width, height } = report.clips[state.clip];
  const facts = [
    `What plays here is a preview, encoded again at ${width}×${height} without sound: every video ` +
      "alike, but not the original pixels. Measures and heat maps come from the original files.",
    "All videos lie in one, so that both sides always show the same frame.",
    "This file needs no network, and its security policy forbids any.",
    `Made by refvid ${report.version}.`,
  ];
  if (report.blind) {
    facts.unshift(
      "Names, file names and measures are hidden until the votes are in. They are in this file in " +
        "a form that nobody reads by accident; whoever wants to can decode them.",
    );
  }
  const notes = details?.clips[state.clip].notes ?? [];
  $("notes").replaceChildren(...[...notes, ...facts].map((text) => element("li", text)));
  showFiles();
}

function showFiles() {
  const table = $("files");
  table.hidden = !details;
  if (!details) return;
  const head = element("tr");
  for (const word of ["Video", "File", "Size", "Codec", "Bytes"]) {
    head.append(element("th", word, { scope: "col" }));
  }
  const rows = details.clips[state.clip].files.map((file, source) => {
    const row = element("tr");
    const name = element("th", "", { scope: "row" });
    name.append(swatch(source), details.names[source]);
    const bytes = file.bytes === null ? "–" : file.bytes.toLocaleString("en");
    const cells = [file.name, `${file.width}×${file.height}`, file.codec, bytes];
    row.append(name, ...cells.map((text) => element("td", text)));
    return row;
  });
  table.replaceChildren(element("thead"), element("tbody"));
  table.tHead.append(head);
  table.tBodies[0].append(...rows);
}

function fail(error) {
  const failure = $("failure");
  const codec = report.clips[0].type === "video/mp4" ? "H.264" : "VP9";
  failure.textContent =
    `This browser does not play the ${codec} preview (${error?.message || "unknown reason"}). ` +
    "Try another browser, or make the page with the other --preview-codec.";
  failure.hidden = false;
  $("waiting").hidden = true;
}

function switchTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
}

$("theme").addEventListener("click", switchTheme);
$("clip").addEventListener("change", (event) => openPlainly(Number(event.target.value)));

setSplit(0.5);
setMode("split");
showKeys();
if (report.blind) {
  restoreBallot();
  $("ballot").hidden = false;
  if (ballot.isRevealed) details = readDetails();
  openTrial(ballot.trial).then(fillClips);
} else {
  fillClips();
  openPlainly(0);
}
