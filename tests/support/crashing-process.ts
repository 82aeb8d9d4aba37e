// Loaded into a Node process before anything else (`--import`): the process ends itself with SIGKILL at a step of its own (steps.ts). Its arguments are the query of its URL:
//   order=FILE    the step, by its name, on the second line; the first makes each order another; read at every step; none while there is no such file
//   report=FILE   gets a line with the name of each step while there is an order, and one more, `killed`, when it is obeyed
import { appendFileSync, readFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { type Step, watchSteps } from './steps.ts';

const asked = new URL(import.meta.url).searchParams;

/** Without what differs from one time to the next. Commits are told apart by their number. */
function nameOf({ operation, path }: Step, commits: number): string {
  const place = path
    .split('/')
    .slice(-2)
    .join('/')
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{5,}/g, '#')
    .replace(/\d+/g, 'N');
  return operation.endsWith('commit') ? `${operation} ${commits}` : `${operation} ${place}`;
}

function orderIn(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

const [order, report] = [asked.get('order'), asked.get('report')];
if (isMainThread && order !== null && report !== null) {
  let [commits, last] = [0, ''];
  await watchSteps((step) => {
    const text = orderIn(order);
    if (text === undefined) return;
    if (text !== last) commits = 0;
    last = text;
    if (step.operation === 'before commit') commits += 1;
    const name = nameOf(step, commits);
    appendFileSync(report, `${name}\n`);
    if (name !== text.split('\n')[1]) return;
    appendFileSync(report, 'killed\n');
    process.kill(process.pid, 'SIGKILL');
  });
}
