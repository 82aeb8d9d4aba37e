// What a server that has just started says: where it is, and how a shell comes to use it.
import type { ServerSettings } from '../src/config/settings.ts';
import type { ServerFacts } from '../src/contract/server-facts.ts';
import { dataDirectory } from './data-directory.ts';
import type { Surroundings } from './surroundings.ts';

export function announce(facts: ServerFacts, settings: ServerSettings, around: Surroundings): void {
  const isDefault = settings.dataDirectory === dataDirectory(undefined, around);
  const data = isDefault ? '' : ` --data ${settings.dataDirectory}`;
  const rows = [
    ['AWS API', facts.apiUrl],
    ['S3', facts.s3Url],
    ['MicroVMs', `https://<id>.${settings.endpointSuffix}${facts.gatewayPort === 443 ? '' : `:${facts.gatewayPort}`}`],
    ['data', settings.dataDirectory],
  ];
  if (facts.metricsPort !== undefined) rows.push(['metrics', `http://127.0.0.1:${facts.metricsPort}/metrics`]);
  if (settings.endpointMode === 'port') rows[2] = ['MicroVMs', 'https, a local port each: see "endpoint"'];
  around.out.write('Waterbear is running.\n');
  for (const [name = '', value = ''] of rows) around.out.write(`  ${name.padEnd(10)}${value}\n`);
  around.out.write(`In the shell that uses it:\n  eval "$(waterbear env${data})"\n`);
}
