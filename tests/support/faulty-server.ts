// `waterbear serve` whose disk fails by a seeded schedule and whose wall clock can be set from outside, on either driver:
//
//   const env = faultyEnvironment({ clock: '/tmp/offset', oneIn: 50, seed: 7, armed: '/tmp/armed' });
//   spawn('bin/waterbear', ['serve', '--data', data, '--driver', 'fake'], { env });
//   await writeFile('/tmp/offset', '-3600000');  // an hour back, within 100 ms, in all threads
//   await writeFile('/tmp/armed', '');           // from here on operations fail
//
// The program is the product's own, unchanged: Node loads faulty-process.ts before it, which says what each option does.
// Whoever signs requests must do so by the server's clock (`client.config.systemClockOffset`): it refuses signatures that are minutes off, as it should. The `Date` of
// its answers is the real one, which Node does not take from where it can be set.

import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

export interface FaultyOptions {
  clock?: string;
  oneIn?: number;
  seed?: number;
  from?: number;
  until?: number;
  code?: 'EIO' | 'ENOSPC';
  armed?: string;
  only?: string;
  report?: string;
}

/** The environment to start it with. */
export function faultyEnvironment(options: FaultyOptions): NodeJS.ProcessEnv {
  const url = pathToFileURL(resolve(import.meta.dirname, 'faulty-process.ts'));
  for (const [name, value] of Object.entries(options)) url.searchParams.set(name, String(value));
  return { ...process.env, NODE_OPTIONS: `--import ${JSON.stringify(url.href)}` };
}
