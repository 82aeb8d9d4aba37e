// How often a duration fell between which bounds. Plain numbers: a structured clone can be added to another.

/** Seconds, ascending; what is longer than the last falls into one more bucket. */
export const secondsBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const;

/** Observations per bucket, and last the sum of all in seconds. */
export type Histogram = Float64Array<ArrayBuffer>;

const buckets = secondsBounds.length + 1;

export const newHistogram = (): Histogram => new Float64Array(buckets + 1);

export function observe(histogram: Histogram, seconds: number): void {
  let bucket = 0;
  while (seconds > (secondsBounds[bucket] ?? Number.POSITIVE_INFINITY)) bucket += 1;
  histogram[bucket] = (histogram[bucket] ?? 0) + 1;
  histogram[buckets] = (histogram[buckets] ?? 0) + seconds;
}

export const countsOf = (histogram: Histogram): number[] => [...histogram.subarray(0, buckets)];

export const sumOf = (histogram: Histogram): number => histogram[buckets] ?? 0;

/** Adds the numbers of `more` to those of `to`, place by place. */
export function addTo(to: Float64Array, more: Float64Array): void {
  for (let i = 0; i < to.length; i++) to[i] = (to[i] ?? 0) + (more[i] ?? 0);
}
