/** Numbers for tests that look random and are the same in every run. */

/** Of a seed, numbers in -1..1 (a linear congruential generator: Numerical Recipes, 7.1). */
export function drawFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}
