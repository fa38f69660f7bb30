// Blind votes: one question at a time, names only after the last.

const STORE = `refvid-votes-${report.id}`;

const ballot = {
  session: crypto.randomUUID?.() ?? String(Math.random()).slice(2),
  choices: {}, // by number of the question: left, right or tie
  isRevealed: false,
  trial: 0,
};

/** Take up where an earlier visit ended; some browsers keep nothing for files, which is fine. */
function restoreBallot() {
  try {
    const kept = JSON.parse(localStorage.getItem(STORE) ?? "null");
    if (kept) Object.assign(ballot, kept);
  } catch {
    // Private windows refuse: the votes then last as long as the page.
  }
}

function keepBallot() {
  try {
    localStorage.setItem(STORE, JSON.stringify(ballot));
  } catch {
    // As above.
  }
}

async function openTrial(number) {
  ballot.trial = clamp(number, 0, report.trials.length - 1);
  const trial = report.trials[ballot.trial];
  await openClip(trial.clip, trial.left, trial.right);
  showBallot();
}

/** Which side of the trial is shown on a side of the stage: sides may have been swapped. */
function sideOfTrial(side) {
  if (side === "tie") return "tie";
  return view[side] === report.trials[ballot.trial].left ? "left" : "right";
}

function vote(side) {
  if (ballot.isRevealed || $("ballot").hidden) return;
  ballot.choices[ballot.trial] = sideOfTrial(side);
  keepBallot();
  const count = report.trials.length;
  const open = [...Array(count).keys()]
    .map((step) => (ballot.trial + 1 + step) % count)
    .find((trial) => !(trial in ballot.choices));
  if (open === undefined) showBallot();
  else openTrial(open);
}

function showBallot() {
  const count = report.trials.length;
  const given = Object.keys(ballot.choices).length;
  const { isRevealed, trial } = ballot;
  $("ballot-title").textContent = isRevealed ? "Your votes" : "Which side looks better?";
  $("ballot-state").textContent = isRevealed
    ? `${given} of ${count} questions answered. Names are shown now.`
    : `Question ${trial + 1} of ${count} · ${given} answered`;
  $("answers").hidden = isRevealed;
  $("reveal").hidden = isRevealed;
  $("reveal").disabled = given === 0;
  $("reveal").classList.toggle("primary", given === count && !isRevealed);
  $("export").disabled = given === 0;
  $("export").classList.toggle("primary", isRevealed);
  $("trial-back").disabled = trial === 0;
  $("trial-next").disabled = trial === count - 1;
  const choice = ballot.choices[trial];
  for (const side of ["left", "tie", "right"]) {
    const isChosen = choice !== undefined && sideOfTrial(side) === choice;
    $(`vote-${side}`).setAttribute("aria-pressed", isChosen);
  }
  $("ballot-result").hidden = !isRevealed;
  if (isRevealed) showResult();
}

function reveal() {
  const left = report.trials.length - Object.keys(ballot.choices).length;
  if (left && !confirm(`${left} questions are open. Show the names now and end the vote?`)) return;
  ballot.isRevealed = true;
  keepBallot();
  showNames();
  showBallot();
}

/** Every vote with its names, as it is exported. */
function namedVotes() {
  const { names, clips } = readDetails();
  return Object.entries(ballot.choices).map(([number, choice]) => {
    const trial = report.trials[number];
    const { name, sources } = clips[trial.clip];
    return {
      trial: Number(number),
      clip: name,
      left: names[sources[trial.left]],
      right: names[sources[trial.right]],
      choice,
    };
  });
}

function exportVotes() {
  const text = JSON.stringify(
    { refvid_votes: 1, report: report.id, session: ballot.session, votes: namedVotes() },
    null,
    2,
  );
  const link = element("a", "", {
    href: URL.createObjectURL(new Blob([text], { type: "application/json" })),
    download: `votes-${report.id.slice(0, 8)}-${ballot.session.slice(0, 8)}.json`,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function showResult() {
  const table = element("table");
  const head = element("tr");
  for (const word of ["Clip", "Left", "Right", "Preferred"]) {
    head.append(element("th", word, { scope: "col" }));
  }
  const body = element("tbody");
  for (const { clip, left, right, choice } of namedVotes()) {
    const row = element("tr");
    const preferred = { left, right, tie: "no difference" }[choice];
    for (const text of [clip, left, right, preferred]) row.append(element("td", text));
    body.append(row);
  }
  const top = element("thead");
  top.append(head);
  table.append(top, body);
  $("ballot-result").replaceChildren(table);
}

for (const side of ["left", "tie", "right"]) {
  $(`vote-${side}`).addEventListener("click", () => vote(side));
}
$("trial-back").addEventListener("click", () => openTrial(ballot.trial - 1));
$("trial-next").addEventListener("click", () => openTrial(ballot.trial + 1));
$("reveal").addEventListener("click", reveal);
$("export").addEventListener("click", exportVotes);
