// Where sources disagree: what this service does, tried out or shown elsewhere.
import { demoArn, imageRequest } from '../../../src/app/testing/test-app.ts';
import { controlPlaneRig } from '../../fake/control-plane-rig.ts';
import type { Choice } from './choices/choice.ts';
import { absent, shownByTests } from './choices/elsewhere.ts';
import { endpointChoices, withImage } from './choices/endpoint.ts';
import { lifeChoices } from './choices/life.ts';
import { wireChoices } from './choices/wire.ts';
import { send } from './operation-cases.ts';

export interface ChoiceResult {
  row: number;
  topic: string;
  choice: string;
  /** `yes`, `NO`, which tests show it, or why it was not tried. */
  holds: string;
}

async function tryAll<S>(choices: readonly Choice<S>[], subject: S): Promise<ChoiceResult[]> {
  const results: ChoiceResult[] = [];
  for (const { row, topic, choice, check } of choices) {
    results.push({ row, topic, choice, holds: (await check(subject)) ? 'yes' : 'NO' });
  }
  return results;
}

async function tryWire(): Promise<ChoiceResult[]> {
  await using rig = await controlPlaneRig();
  await send(rig, 'CreateMicrovmImage', imageRequest);
  await rig.t.settle();
  const vm = await send(rig, 'RunMicrovm', { imageIdentifier: demoArn });
  await rig.t.settle();
  return await tryAll(wireChoices, { rig, vm });
}

const shown = (files: readonly string[]): string =>
  `${files.every((file) => file.startsWith('tests/real/')) ? 'in a real VM' : 'yes'}: ${files.map((file) => `\`${file}\``).join(', ')}`;

/** In the order of the reference. */
export async function runChoices(): Promise<ChoiceResult[]> {
  const results = [
    ...(await tryWire()),
    ...(await tryAll(lifeChoices, undefined)),
    ...(await withImage((subject) => tryAll(endpointChoices, subject))),
    ...shownByTests.map(({ by, ...choice }) => ({
      ...choice,
      holds: shown([...new Set(by.map(({ file }) => file))]),
    })),
    ...absent.map(({ row, topic, why }) => ({ row, topic, choice: '–', holds: `not tried: ${why}` })),
  ];
  return results.sort((a, b) => a.row - b.row);
}
