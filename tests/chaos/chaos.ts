// `npm run chaos`: kills a server, or its VMMs, at random moments, and says what was lost and what was left. The last line of its output is JSON.
import { parseArgs } from 'node:util';
import { type Fault, faults, type Target, targets } from './plan.ts';
import { runChaos } from './run-chaos.ts';

const usage = `usage: npm run chaos -- [options]
  --kills <n>       how often (default 20)
  --seed <n>        decides every act and every moment (default: a new one, which is said)
  --vms <n>         MicroVMs at once, 4 at least (default 5)
  --target <who>    server, vmm, or both: one of them or both at once (default server)
  --fault <which>   beside the kills: ${faults.join(', ')}
  --lost-vms <how>  policy of the server: end or restore (default end)
  --vm-builds <n>   one build in n is made in a VM, 0: none (default 8)
  --keep            leave the data directory and the server's log
  --json            only the last line on standard output, which is JSON either way
Needs root, as the server does.`;

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '20' },
    seed: { type: 'string' },
    vms: { type: 'string', default: '5' },
    target: { type: 'string', default: 'server' },
    fault: { type: 'string' },
    'lost-vms': { type: 'string', default: 'end' },
    'vm-builds': { type: 'string', default: '8' },
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const isOneOf = <T extends string>(list: readonly T[], text: string | undefined): text is T =>
  list.some((one) => one === text);

function number(name: string, text: string, least: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  console.error(`--${name} must be a whole number, ${least} at least.\n\n${usage}`);
  process.exit(2);
}

function choice<T extends string>(name: string, text: string, list: readonly T[]): T {
  if (isOneOf(list, text)) return text;
  console.error(`--${name} must be one of ${list.join(', ')}.\n\n${usage}`);
  process.exit(2);
}

if (values.help) {
  console.log(usage);
  process.exit(0);
}
const fault: Fault | undefined = values.fault === undefined ? undefined : choice('fault', values.fault, faults);
const target: Target = choice('target', values.target, targets);
const seed = number('seed', values.seed ?? String(Date.now() % 1_000_000), 0);
const say = (line: string): void => void process.stderr.write(`${line}\n`);
say(`seed ${seed}`);
const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => {
    say('Ending after this round; a second signal ends at once, and what runs then is left.');
    stop.abort(new Error(name));
  });
}
const report = await runChaos({
  ...{ seed, target, keep: values.keep, say, signal: stop.signal },
  ...(fault ? { fault } : {}),
  kills: number('kills', values.kills, 1),
  vms: number('vms', values.vms, 4),
  lostVms: choice('lost-vms', values['lost-vms'], ['end', 'restore'] as const),
  vmBuildEvery: number('vm-builds', values['vm-builds'], 0),
});
if (!values.json) {
  const { kills, lost, leaked, broken, seconds } = report;
  console.log(`${kills} kills in ${seconds} s: ${lost} lost, ${leaked} leaked, ${broken} broken promises`);
  for (const finding of report.findings) console.log(`  ${finding}`);
}
const isGood = report.lost + report.leaked + report.broken === 0;
if (!isGood) say(`Once more: ${report.repeat}`);
console.log(JSON.stringify(report));
process.exitCode = isGood ? 0 : 1;
