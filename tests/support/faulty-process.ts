// Loaded into a Node process before anything else (`--import`), and into each of its threads: makes its disk fail and sets its wall clock. The machine's own disk and
// clock are left alone. Its arguments are the query of its URL, as `faultyEnvironment` in faulty-server.ts writes them:
//   clock=FILE    the wall clock is wrong by as many milliseconds as the file says, looked at every 100 ms; none or nothing in it: 0
//   oneIn=N       about one in N operations of src/lib/durable-file.ts fails
//   seed=S        which ones; the same seed makes the same operations fail, counted from the start of the process
//   from=N        none before the N-th operation, default 0
//   until=N       none from the N-th operation on
//   code=EIO      or ENOSPC; default: either
//   armed=FILE    operations fail only while this file is there
//   only=TEXT     only operations on paths with this text in them fail
//   report=FILE   gets a line of JSON for each that failed: { n, operation, path, code, partly }
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { type FileFaults, setFileFaults } from '../../src/lib/disk-faults.ts';
import { draws } from './seeded-draws.ts';

const asked = new URL(import.meta.url).searchParams;

function setClock(file: string): void {
  let offsetMs = 0;
  const look = (): void => {
    try {
      offsetMs = Number.parseInt(readFileSync(file, 'utf8'), 10) || 0;
    } catch {
      offsetMs = 0;
    }
  };
  look();
  setInterval(look, 100).unref();
  const RealDate = Date;
  globalThis.Date = class extends RealDate {
    constructor(...values: unknown[]) {
      if (values.length === 0) super(RealDate.now() + offsetMs);
      else super(...(values as [number]));
    }

    static override now(): number {
      return RealDate.now() + offsetMs;
    }
  } as DateConstructor;
}

function seededFaults(): FileFaults {
  const number = (name: string, otherwise: number): number => Number(asked.get(name) ?? otherwise);
  const [oneIn, from, until] = [number('oneIn', 20), number('from', 0), number('until', Number.POSITIVE_INFINITY)];
  const [code, armed, report] = [asked.get('code'), asked.get('armed'), asked.get('report')];
  const only = asked.get('only') ?? '';
  const draw = draws(number('seed', 1));
  let n = -1;
  return (operation, path) => {
    n += 1;
    // Drawn for every operation, so that what is drawn next does not depend on what was armed.
    const [fails, which, partly] = [draw() < 1 / oneIn, code ?? (draw() < 0.5 ? 'EIO' : 'ENOSPC'), draw() < 0.5];
    if (!fails || n < from || n >= until || !path.includes(only)) return undefined;
    if (armed !== null && !existsSync(armed)) return undefined;
    if (report !== null) appendFileSync(report, `${JSON.stringify({ n, operation, path, code: which, partly })}\n`);
    const error = Object.assign(new Error(`${which}: as a test wants it, ${operation} '${path}'`), { code: which });
    return { error, partly };
  };
}

const clockFile = asked.get('clock');
if (clockFile !== null) setClock(clockFile);
if (isMainThread && asked.has('oneIn')) setFileFaults(seededFaults());
