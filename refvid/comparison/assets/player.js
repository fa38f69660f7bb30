// One video holds all candidates, so they cannot drift apart; this knows which frame it shows.

class Player {
  constructor(video) {
    this.video = video;
    /** The frame on screen, counted from 0. */
    this.frame = 0;
    this.range = { first: 0, last: 0 };
    this.repeats = true;
    this.isPlaying = false; // what the user wants; the video also pauses at its end
    this.onFrame = () => {};
    this.onState = () => {};
    this.times = [0];
    this.target = null; // the frame that is being sought
    this.hasCallback = "requestVideoFrameCallback" in HTMLVideoElement.prototype;
    video.addEventListener("seeked", () => this.#arrive());
    video.addEventListener("ended", () => this.#end());
    // Headphones and media keys pause without asking.
    video.addEventListener("pause", () => video.ended || this.pause());
    if (this.hasCallback) this.#watch();
    else video.addEventListener("play", () => this.#poll());
  }

  get isWhole() {
    return this.range.first === 0 && this.range.last === this.times.length - 1;
  }

  /** Take another clip; resolves when its first frame is there. */
  async load(clip, blob) {
    this.times = clip.times;
    this.end = clip.end;
    this.range = { first: 0, last: clip.times.length - 1 };
    this.target = null;
    this.frame = 0;
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(blob);
    const speed = this.video.playbackRate;
    await new Promise((resolve, reject) => {
      this.video.addEventListener("loadeddata", resolve, { once: true });
      this.video.addEventListener("error", () => reject(this.video.error), { once: true });
      this.video.src = this.url;
    });
    this.video.playbackRate = speed;
    this.seek(0);
  }

  play() {
    const { first, last } = this.range;
    if (this.frame >= last || this.frame < first) this.seek(first);
    this.isPlaying = true;
    this.video.play().catch(() => {}); // a pause before it began
    this.onState();
  }

  pause() {
    if (!this.isPlaying) return;
    this.isPlaying = false;
    this.video.pause();
    this.onState();
    // The clock may be at the edge of the next frame: stay with the one on screen.
    if (this.target === null) this.seek(this.frame);
  }

  step(count) {
    this.pause();
    this.seek((this.target ?? this.frame) + count);
  }

  seek(frame) {
    this.target = clamp(Math.round(frame), 0, this.times.length - 1);
    // A new seek before the last one arrived would be dropped by some browsers.
    if (this.video.seeking) return;
    if (this.frameAt(this.video.currentTime) === this.target && !this.isPlaying) this.#arrive();
    else this.#go();
  }

  setRange(first, last) {
    this.range = { first: Math.min(first, last), last: Math.max(first, last) };
  }

  /** The frame shown at a time of the video [s]. */
  frameAt(time) {
    const times = this.times;
    let low = 0;
    let high = times.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      // Containers round times, some to milliseconds: a little early is still that frame.
      if (times[middle] <= time + 0.0015) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #go() {
    const start = this.times[this.target];
    const end = this.times[this.target + 1] ?? Math.max(this.end, start + 0.002);
    // The middle of a frame: no rounding lands on its neighbour.
    this.video.currentTime = (start + end) / 2;
  }

  #arrive() {
    // An event of the seek before, dispatched after the next one began, says nothing.
    if (this.target === null || this.video.seeking) return;
    if (this.frameAt(this.video.currentTime) !== this.target) return this.#go();
    const frame = this.target;
    this.target = null;
    this.#show(frame);
  }

  #end() {
    // Seeking near the end can end a video as well.
    if (!this.isPlaying) return;
    if (!this.repeats) return this.pause();
    this.seek(this.range.first);
    this.video.play().catch(() => {});
  }

  #watch() {
    this.video.requestVideoFrameCallback((_now, frame) => {
      this.#watch();
      this.#present(this.frameAt(frame.mediaTime));
    });
  }

  #poll() {
    const look = () => {
      if (!this.isPlaying) return;
      if (!this.video.seeking) this.#present(this.frameAt(this.video.currentTime));
      requestAnimationFrame(look);
    };
    look();
  }

  #present(frame) {
    if (this.isPlaying && frame > this.range.last && this.target === null) {
      if (this.repeats) return this.seek(this.range.first);
      this.pause();
      return this.seek(this.range.last);
    }
    // On the way to another frame the old one may be presented once more, even late.
    const expected = this.target ?? (this.isPlaying ? frame : this.frameAt(this.video.currentTime));
    if (frame === expected) this.#show(frame);
  }

  #show(frame) {
    this.frame = frame;
    this.onFrame(frame);
  }
}
