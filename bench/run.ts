// `npm run bench`: everything that is measured, as tables and, with --json, as one last line of JSON. `-- --only control-plane` measures that alone;
// `-- --only sleepers`, with 300 sleeping MicroVMs, is measured in no other way.
import { parseArgs } from 'node:util';
import { benchControlPlane } from './control-plane.ts';
import { benchGateway } from './gateway.ts';
import { benchGatewayThreads } from './gateway-threads.ts';
import { benchMicrovms } from './microvms.ts';
import { benchSleepers } from './sleepers.ts';

const usage = `usage: npm run bench -- [options]
  --only <name>     microvms, control-plane, gateway, gateway-threads; sleepers, which takes minutes, is measured in no other way
  --runs <n>        of launch, suspend and wake (default 9, 7 at least)
  --memory <mib>    of a MicroVM (default 512)
  --rounds <n>      of each load (default 5)
  --seconds <n>     that a load lasts (default 2)
  --sleepers <n>    how many sleep (default 300)
  --json            the last line is JSON
Needs root, as the server does.`;

function readOptions() {
  const text = (otherwise: string) => ({ type: 'string', default: otherwise }) as const;
  try {
    const flag = { type: 'boolean', default: false } as const;
    const loads = { rounds: text('5'), seconds: text('2') };
    const microvms = { runs: text('9'), memory: text('512'), sleepers: text('300') };
    const options = { help: flag, json: flag, only: { type: 'string' }, ...microvms, ...loads } as const;
    return parseArgs({ options }).values;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${usage}`);
    return process.exit(2);
  }
}

const values = readOptions();
if (values.help) {
  console.log(usage);
  process.exit(0);
}

const atLeast = (least: number, text: string): number => Math.max(least, Number(text) || least);
const microvms = { runs: atLeast(7, values.runs), memoryMib: atLeast(128, values.memory) };
const loads = { rounds: atLeast(1, values.rounds), seconds: atLeast(1, values.seconds) };

const sleepers = { sleepers: atLeast(4, values.sleepers), runs: microvms.runs };

const benches: Readonly<Record<string, () => Promise<object>>> = {
  microvms: () => benchMicrovms(microvms),
  'control-plane': async () => ({ getMicrovm: await benchControlPlane(loads) }),
  gateway: async () => ({ gateway: await benchGateway(loads) }),
  sleepers: () => benchSleepers(sleepers),
  'gateway-threads': async () => ({ gatewayThreads: await benchGatewayThreads(loads) }),
};

const names = Object.keys(benches);
if (values.only !== undefined && !names.includes(values.only)) {
  console.error(`There is no bench "${values.only}"; there are: ${names.join(', ')}.`);
  process.exit(2);
}
/** Takes many minutes, and is done by name only. */
const slow = 'sleepers';
let results = {};
for (const [name, bench] of Object.entries(benches)) {
  if (values.only === undefined ? name !== slow : values.only === name) results = { ...results, ...(await bench()) };
}
if (values.json) console.log(JSON.stringify(results));
