// The other thread in the race of `signs.test.ts`: in each round it begins a request and then looks whether the MicroVM runs.
import { workerData } from 'node:worker_threads';
import { systemClock } from '../../lib/clock.ts';
import { Signs } from '../signs.ts';

/** Cells of `shared`: the round to play, rounds played by the racer, and whether its request went ahead without asking. */
const { signs, shared, rounds } = workerData as { signs: SharedArrayBuffer; shared: SharedArrayBuffer; rounds: number };
const mine = new Signs(signs);
const cells = new Int32Array(shared);
const counter = { index: 1, clock: systemClock, endIsActivity: false };

for (let round = 1; round <= rounds; round++) {
  while (Atomics.load(cells, 0) < round);
  const request = mine.begin(counter);
  Atomics.store(cells, 2, mine.runs ? 1 : 0);
  request.end();
  Atomics.store(cells, 1, round);
  Atomics.notify(cells, 1);
}
