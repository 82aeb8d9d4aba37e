// `npm run bench`: everything that is measured, as tables and, with --json, as one last line of JSON. `-- --only control-plane` measures that alone;
// `-- --only sleepers`, with 300 sleeping MicroVMs, is measured in no other way.
import { parseArgs } from 'node:util';
import { benchControlPlane } from './control-plane.ts';
import { benchGateway } from './gateway.ts';
import { benchGatewayThreads } from './gateway-threads.ts';
import { benchMicrovms } from './microvms.ts';
import { benchSleepers } from './sleepers.ts';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
    runs: { type: 'string', default: '9' },
    memory: { type: 'string', default: '512' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    sleepers: { type: 'string', default: '300' },
  },
});

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
