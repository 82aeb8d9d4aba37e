// `npm run bench`: everything that is measured, as tables and, with --json, as one last line of JSON. `-- --only control-plane` measures that alone.
import { parseArgs } from 'node:util';
import { benchControlPlane } from './control-plane.ts';
import { benchGateway } from './gateway.ts';
import { benchGatewayThreads } from './gateway-threads.ts';
import { benchMicrovms } from './microvms.ts';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
    runs: { type: 'string', default: '9' },
    memory: { type: 'string', default: '512' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
  },
});

const atLeast = (least: number, text: string): number => Math.max(least, Number(text) || least);
const microvms = { runs: atLeast(7, values.runs), memoryMib: atLeast(128, values.memory) };
const loads = { rounds: atLeast(1, values.rounds), seconds: atLeast(1, values.seconds) };

const benches: Readonly<Record<string, () => Promise<object>>> = {
  microvms: () => benchMicrovms(microvms),
  'control-plane': async () => ({ getMicrovm: await benchControlPlane(loads) }),
  gateway: async () => ({ gateway: await benchGateway(loads) }),
  'gateway-threads': async () => ({ gatewayThreads: await benchGatewayThreads(loads) }),
};

const names = Object.keys(benches);
if (values.only !== undefined && !names.includes(values.only)) {
  console.error(`There is no bench "${values.only}"; there are: ${names.join(', ')}.`);
  process.exit(2);
}
let results = {};
for (const [name, bench] of Object.entries(benches)) {
  if (values.only === undefined || values.only === name) results = { ...results, ...(await bench()) };
}
if (values.json) console.log(JSON.stringify(results));
