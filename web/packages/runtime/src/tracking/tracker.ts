/**
 * The same object's number from frame to frame, by ByteTrack (arXiv 2110.06864).
 *
 * Boxes, scores and times in, numbers out; knows nothing of pictures. The same as
 * sightline/runtime/tracker.py, which gives the reasons for each constant;
 * contracts/golden/tracker.json holds vectors for both, so the order of everything is part of the
 * contract: float64 arithmetic, tracks by number, candidates by index, of equals the first.
 */
import { matchPairs } from "./assignment";

/** Below the threshold a candidate still goes on with a known object; from here on it is noise. */
export const LEAST_SCORE = 0.1;
// Least overlap of a track's expected box with its candidate, and with one below the threshold.
const LEAST_IOU = 0.2;
const LEAST_IOU_WEAK = 0.5;
// How long an object lives after it last reached the threshold.
const LIFE_S = 2;
const MOST_TRACKS = 500;

// The Kalman filter of DeepSORT (arXiv 1703.07402) in continuous time, in units of the box.
const FRAMES_A_S = 30;
const MEASURED = (1 / 20) ** 2; // variance of a measured place or size
const WANDERED = (1 / 20) ** 2 * FRAMES_A_S; // variance that places and sizes gain in a second
const PUSHED = (1 / 160) ** 2 * FRAMES_A_S ** 3; // variance that velocities gain in a second
const FIRST_PLACE = (2 / 20) ** 2;
const FIRST_VELOCITY = ((10 / 160) * FRAMES_A_S) ** 2;

/** One object. Its centre moves at a velocity, its size stays; the rest are variances. */
class Track {
  readonly number: number;
  readonly labelId: number;
  #x: number;
  #y: number;
  #width: number;
  #height: number;
  #velocityX = 0;
  #velocityY = 0;
  #place = FIRST_PLACE;
  #placeVelocity = 0;
  #velocity = FIRST_VELOCITY;
  #size = FIRST_PLACE;
  /** Since it last reached the threshold. */
  waitedS = 0;
  /** How long weak candidates may be shown. */
  creditS = 0;
  isConfirmed = false;
  /** The candidate that it was in the last update; -1 for none. */
  candidate: number;

  constructor(number: number, labelId: number, boxes: Float32Array, candidate: number) {
    this.number = number;
    this.labelId = labelId;
    this.candidate = candidate;
    const [x1, y1, x2, y2] = boxAt(boxes, candidate);
    this.#x = (x1 + x2) / 2;
    this.#y = (y1 + y2) / 2;
    this.#width = x2 - x1;
    this.#height = y2 - y1;
  }

  /** Whether a candidate below the threshold may be it. */
  mayBeWeak(stepS: number, wasInSight: boolean): boolean {
    // Half a step: times are rounded, and after one strong frame is room for a weak one.
    return wasInSight && this.creditS > stepS / 2 && this.waitedS <= LIFE_S;
  }

  /**
   * Move on by the velocity: a constant one, pushed by white noise.
   *
   * Bar-Shalom, Li and Kirubarajan, Estimation with Applications to Tracking and Navigation
   * (2001), section 6.2.2.
   */
  predict(stepS: number): void {
    this.waitedS += stepS;
    if (stepS > LIFE_S) {
      // Nobody looked for so long: where it was is the best guess.
      this.#velocityX = this.#velocityY = this.#placeVelocity = 0;
      this.#place = this.#size = FIRST_PLACE;
      this.#velocity = FIRST_VELOCITY;
      return;
    }
    this.#x += this.#velocityX * stepS;
    this.#y += this.#velocityY * stepS;
    this.#place +=
      stepS * (2 * this.#placeVelocity + stepS * this.#velocity) +
      WANDERED * stepS +
      (PUSHED * stepS ** 3) / 3;
    this.#placeVelocity += stepS * this.#velocity + (PUSHED * stepS * stepS) / 2;
    this.#velocity += PUSHED * stepS;
    this.#size += WANDERED * stepS;
  }

  /** Take in where it was seen. */
  correct(boxes: Float32Array): void {
    const [x1, y1, x2, y2] = boxAt(boxes, this.candidate);
    const gain = this.#place / (this.#place + MEASURED);
    const gainVelocity = this.#placeVelocity / (this.#place + MEASURED);
    const gainSize = this.#size / (this.#size + MEASURED);
    const offX = (x1 + x2) / 2 - this.#x;
    const offY = (y1 + y2) / 2 - this.#y;
    this.#x += gain * offX;
    this.#y += gain * offY;
    this.#velocityX += gainVelocity * offX;
    this.#velocityY += gainVelocity * offY;
    this.#width += gainSize * (x2 - x1 - this.#width);
    this.#height += gainSize * (y2 - y1 - this.#height);
    this.#velocity -= gainVelocity * this.#placeVelocity;
    this.#placeVelocity *= 1 - gain;
    this.#place *= 1 - gain;
    this.#size *= 1 - gainSize;
  }

  /** Intersection over union of where it is expected and a candidate; 0 where that is empty. */
  overlap(boxes: Float32Array, candidate: number): number {
    const left = this.#x - this.#width / 2;
    const top = this.#y - this.#height / 2;
    const right = this.#x + this.#width / 2;
    const bottom = this.#y + this.#height / 2;
    const [x1, y1, x2, y2] = boxAt(boxes, candidate);
    const shared =
      Math.max(0, Math.min(right, x2) - Math.max(left, x1)) *
      Math.max(0, Math.min(bottom, y2) - Math.max(top, y1));
    const ofTrack = Math.max(0, right - left) * Math.max(0, bottom - top);
    const union = ofTrack + Math.max(0, x2 - x1) * Math.max(0, y2 - y1) - shared;
    return union > 0 ? shared / union : 0;
  }
}

/**
 * One stream's objects.
 *
 * A candidate that reaches the threshold is shown at once: a new object has its number at first
 * sight, and is confirmed when it is seen so again. Candidates below the threshold are shown only
 * where they go on with a confirmed object that was shown in the update before, for as long as it
 * had reached the threshold, 2 s at most. Objects keep their class. Numbers count from 1 and are
 * never given twice.
 */
export class Tracker {
  /** The score from which an object is shown. */
  threshold: number;
  #tracks: Track[] = []; // by number
  #count = 0;
  #timeS: number | null = null;

  constructor(threshold: number) {
    this.threshold = threshold;
  }

  /**
   * (N,) each candidate's number, from 1; 0 for one that is not to be shown.
   *
   * Candidates: (N, 4) pixels, (N,), (N,); those of at least LEAST_SCORE, or of the threshold where
   * that is lower. timeS: of the frame, by any clock; one that goes back stands still for a frame.
   */
  update(
    boxesXyxy: Float32Array,
    scores: Float32Array,
    labelIds: Int32Array,
    timeS: number,
  ): Int32Array<ArrayBuffer> {
    const stepS = this.#timeS === null ? 0 : Math.max(0, timeS - this.#timeS);
    this.#timeS = timeS;
    const numbers = new Int32Array(scores.length);
    const least = Math.fround(this.threshold);
    const strong: number[] = [];
    const weak: number[] = [];
    scores.forEach((score, index) => {
      (score >= least ? strong : weak).push(index);
    });
    const goingOn: Track[] = [];
    for (const track of this.#tracks) {
      track.predict(stepS);
      if (track.mayBeWeak(stepS, track.candidate >= 0)) goingOn.push(track);
      track.candidate = -1;
    }
    const match = (tracks: readonly Track[], candidates: readonly number[], leastIou: number) => {
      for (const track of matchTracks(tracks, candidates, boxesXyxy, labelIds, leastIou)) {
        numbers[track.candidate] = track.number;
      }
    };
    const isLeft = (index: number) => numbers[index] === 0;
    const isUnseen = (track: Track) => track.candidate < 0;
    match(
      this.#tracks.filter((track) => track.isConfirmed),
      strong,
      LEAST_IOU,
    );
    match(
      this.#tracks.filter((track) => !track.isConfirmed),
      strong.filter(isLeft),
      LEAST_IOU,
    );
    match(goingOn.filter(isUnseen), weak, LEAST_IOU_WEAK);
    this.#keep(boxesXyxy, scores, least, stepS);
    for (const index of strong.filter(isLeft)) {
      this.#count += 1;
      numbers[index] = this.#count;
      this.#tracks.push(new Track(this.#count, labelIds[index] as number, boxesXyxy, index));
    }
    return numbers;
  }

  /** Correct what was seen; forget what was not for too long. */
  #keep(boxes: Float32Array, scores: Float32Array, least: number, stepS: number): void {
    for (const track of this.#tracks) {
      if (track.candidate < 0) continue;
      track.correct(boxes);
      if ((scores[track.candidate] as number) >= least) {
        track.waitedS = 0;
        track.isConfirmed = true;
        track.creditS = Math.min(LIFE_S, track.creditS + stepS);
      } else {
        track.creditS -= stepS;
      }
    }
    this.#tracks = this.#tracks.filter((track) => track.waitedS <= LIFE_S);
    if (this.#tracks.length > MOST_TRACKS) {
      this.#tracks.sort((a, b) => a.waitedS - b.waitedS || a.number - b.number);
      this.#tracks.length = MOST_TRACKS;
      this.#tracks.sort((a, b) => a.number - b.number);
    }
  }
}

/** The tracks that have a candidate of their class now, at the greatest sum of IoU. */
function matchTracks(
  tracks: readonly Track[],
  candidates: readonly number[],
  boxes: Float32Array,
  labelIds: Int32Array,
  leastIou: number,
): Track[] {
  if (tracks.length === 0 || candidates.length === 0) return [];
  const overlaps = new Float64Array(tracks.length * candidates.length);
  let place = 0;
  for (const track of tracks) {
    for (const candidate of candidates) {
      if (track.labelId === labelIds[candidate]) {
        const overlap = track.overlap(boxes, candidate);
        if (overlap >= leastIou) overlaps[place] = overlap;
      }
      place += 1;
    }
  }
  const chosen = matchPairs(overlaps, tracks.length, candidates.length);
  return tracks.filter((track, row) => {
    track.candidate = candidates[chosen[row] as number] ?? -1;
    return track.candidate >= 0;
  });
}

type Corners = readonly [x1: number, y1: number, x2: number, y2: number];

function boxAt(boxes: Float32Array, index: number): Corners {
  const edge = index * 4;
  return [boxes[edge], boxes[edge + 1], boxes[edge + 2], boxes[edge + 3]] as unknown as Corners;
}
