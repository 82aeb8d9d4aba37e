// Buffers that are used again: a fresh megabyte for every step would make the garbage collector run in the middle of a suspend or a wake.
export const slabBytes = 2 << 20;

const kept: Buffer[] = [];
const keepAtMost = 8;

/** A buffer of `slabBytes` with anything in it. Whoever takes one gives it back in a `finally` and holds on to no part of it. */
export const takeSlab = (): Buffer => kept.pop() ?? Buffer.allocUnsafeSlow(slabBytes);

export function giveSlab(slab: Buffer): void {
  if (kept.length < keepAtMost) kept.push(slab);
}
