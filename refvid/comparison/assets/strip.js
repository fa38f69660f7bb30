// The frames where the videos differ most, as heat maps.

/** Which video's maps to show: one of those on the stage, as maps are differences to the first. */
function mappedSource() {
  const onStage = [sourceOf(view.right), sourceOf(view.left)];
  return onStage.find((source) => source > 0 && source < details.candidates) ?? 1;
}

function showMoments() {
  const clip = details?.clips[state.clip];
  $("moments").hidden = !clip;
  if (!clip) return;
  const source = mappedSource();
  const areEqual = clip.moments.every((moment) => Math.max(...moment.differences) === 0);
  $("moments-hint").textContent = !areEqual
    ? `${details.names[source]} against ${details.names[0]}, measured on the original pixels. ` +
      "Choose a frame to go there."
    : "The videos are equal, frame by frame.";
  document.querySelector(".legend").hidden = areEqual;
  $("peak").textContent = `${clip.peak} of 255 or more`;
  $("strip").replaceChildren(
    ...(areEqual ? [] : clip.moments).map((moment) => card(clip, moment, source)),
  );
}

function card(clip, moment, source) {
  const name = details.names[source];
  const difference = moment.differences[source - 1].toFixed(2);
  const button = element("button", "", { type: "button", className: "moment" });
  const pictures = element("span", "", { className: "pictures" });
  const image = element("img", "", { src: moment.maps[source - 1], alt: "", loading: "lazy" });
  const under = element("img", "", { src: moment.picture, alt: "", loading: "lazy" });
  under.className = "under";
  const box = element("span", "", { className: "box" });
  const [left, top, right, bottom] = moment.box.map((side) => `${100 * side}%`);
  Object.assign(box.style, { left, top });
  box.style.width = `calc(${right} - ${left})`;
  box.style.height = `calc(${bottom} - ${top})`;
  pictures.append(under, image, box);
  const text = element("span", "", { className: "moment-text" });
  text.append(element("strong", `frame ${moment.frame}`));
  text.append(element("span", difference, { className: "value" }));
  button.append(pictures, text);
  button.setAttribute(
    "aria-label",
    `Frame ${moment.frame}, ${name} differs by ${difference} of 255 in the mean: go there`,
  );
  button.addEventListener("click", () => {
    player.pause();
    player.seek(moment.frame);
    chooseSide("left", clip.sources.indexOf(0));
    chooseSide("right", clip.sources.indexOf(source));
    $("stage").scrollIntoView({ block: "center", behavior: "smooth" });
  });
  const item = element("li");
  item.append(button);
  return item;
}
