// What the page was given: texts in elements that no browser runs.

const $ = (id) => document.getElementById(id);

const report = JSON.parse($("document").textContent);

/** Names and measures; null on a blind page until the votes are in. */
let details = report.blind ? null : JSON.parse($("details").textContent);

/** The details, also while the page is blind: to export votes with names. */
function readDetails() {
  if (details) return details;
  const bytes = bytesFromBase64($("details").textContent);
  const key = new TextEncoder().encode("refvid"); // as in page.py
  for (let i = 0; i < bytes.length; i++) bytes[i] ^= key[i % key.length];
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** The embedded video of a clip, as a file in memory. */
function mediaOf(clip) {
  const pieces = document.querySelectorAll(`script[data-clip="${clip}"]`);
  const parts = Array.from(pieces, (piece) => bytesFromBase64(piece.textContent));
  return new Blob(parts, { type: report.clips[clip].type });
}

function bytesFromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** An element with text, never with markup: names come from files. */
function element(tag, text = "", properties = {}) {
  const made = document.createElement(tag);
  if (text !== "") made.textContent = text;
  return Object.assign(made, properties);
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** The colour of a video, the same wherever it appears. */
const colorOf = (source) => `var(--c${source % 6})`;
