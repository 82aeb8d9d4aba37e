// Drives every operation and its errors with the real SDK against a control plane on a stub host, and writes down what came.

import { demoArn, imageRequest } from '../../../src/app/testing/test-app.ts';
import { type OperationName, operations, structures } from '../../../src/contract/generated/operations.ts';
import type { Operation, Structure } from '../../../src/contract/model.ts';
import { type ControlPlaneRig, controlPlaneRig } from '../../fake/control-plane-rig.ts';
import { whileStopping, withBrokenStore } from './faults.ts';
import {
  badInputs,
  changesImage,
  errorsOf,
  goodCalls,
  type Input,
  imageUpdate,
  lastCalls,
  type Made,
  send,
} from './operation-cases.ts';
import type { Throttled } from './run-throttles.ts';

export interface OperationResult {
  operation: OperationName;
  /** `works`, or what was wrong. */
  outcome: string;
  /** Errors of the model that were seen, and those that nothing provoked. */
  seen: string[];
  unseen: string[];
}

export async function runOperations(throttled: Throttled): Promise<OperationResult[]> {
  await using rig = await controlPlaneRig();
  const made: Made = { microvmId: '', endedMicrovmId: '', buildId: '' };
  const results: OperationResult[] = [];
  for (const [operation, inputOf] of goodCalls) {
    const outcome = await good(rig, operation, inputOf(made));
    await rig.t.settle();
    await remember(rig, operation, made);
    results.push({ operation, outcome, seen: [], unseen: [] });
  }
  for (const result of results) {
    const input = [...goodCalls].find(([operation]) => operation === result.operation)?.[1](made) ?? {};
    await provoke(rig, result, input, made);
  }
  // What runs would stand in the way of what is deleted.
  await send(rig, 'TerminateMicrovm', { microvmIdentifier: made.microvmId });
  await rig.t.settle();
  for (const [operation, inputOf] of lastCalls) {
    const result: OperationResult = { operation, outcome: '', seen: [], unseen: [] };
    await provoke(rig, result, inputOf(made), made);
    results.push({ ...result, outcome: await good(rig, operation, inputOf(made)) });
    await rig.t.settle();
  }
  for (const result of results) sortOut(result, throttled.get(result.operation));
  return results.sort((a, b) => (a.operation < b.operation ? -1 : 1));
}

async function good(rig: ControlPlaneRig, operation: OperationName, input: Input): Promise<string> {
  try {
    const answer = await send(rig, operation, input);
    const { status, output = '' }: Operation = operations[operation];
    const got = (answer.$metadata as { httpStatusCode?: number }).httpStatusCode;
    if (got !== status) return `answers ${got}, not ${status}`;
    const structure: Structure | undefined = Reflect.get(structures, output);
    const lacking = Object.entries(structure?.members ?? {}).filter(
      ([name, { required }]) => required && answer[name] === undefined,
    );
    return lacking.length === 0 ? 'works' : `lacks ${lacking.map(([name]) => name).join(', ')}`;
  } catch (error) {
    return String(error);
  }
}

/** What later calls need. */
async function remember(rig: ControlPlaneRig, operation: OperationName, made: Made): Promise<void> {
  if (operation === 'ListMicrovmImageBuilds') {
    made.buildId = rig.t.node.orders[0]?.buildId ?? '';
  }
  if (operation !== 'RunMicrovm') return;
  const { imageIdentifier } = goodCalls.find(([name]) => name === 'RunMicrovm')?.[1](made) ?? {};
  made.microvmId = rig.t.node.launches[0]?.microvmId ?? '';
  made.endedMicrovmId = String((await send(rig, 'RunMicrovm', { imageIdentifier })).microvmId);
  await rig.t.settle();
}

async function nameOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => '',
    (error: unknown) => (error instanceof Error ? error.name : ''),
  );
}

async function provoke(rig: ControlPlaneRig, result: OperationResult, input: Input, made: Made): Promise<void> {
  const { operation } = result;
  const expected = errorsOf(operation);
  const note = async (call: Promise<unknown>): Promise<void> => void result.seen.push(await nameOf(call));
  for (const bad of badInputs(operation, input, made)) await note(send(rig, operation, bad));
  await withBrokenStore(rig, () => note(send(rig, operation, fresh(input))));
  if (expected.includes('InsufficientCapacityException')) {
    await whileStopping(rig, () => note(send(rig, operation, fresh(input))));
  }
  if (changesImage.has(operation)) await whileUpdating(rig, () => note(send(rig, operation, fresh(input))));
  if (expected.includes('ServiceQuotaExceededException')) await note(overQuota(operation, input));
  if (expected.includes('ResourceConflictException')) await note(whileDeleting(operation, input));
}

/** Leaves of all that was seen what the model gives the operation. */
function sortOut(result: OperationResult, throttled: string | undefined): void {
  const expected = [...errorsOf(result.operation)].sort();
  const seen = new Set([...result.seen, throttled]);
  result.seen = expected.filter((name) => seen.has(name));
  result.unseen = expected.filter((name) => !seen.has(name));
}

/** The same call, but no replay of the one before. */
const fresh = (input: Input): Input => {
  const { clientToken: _token, ...rest } = input;
  return 'name' in rest ? { ...rest, name: 'fresh' } : rest;
};

/** While a version of the image is built. */
async function whileUpdating(rig: ControlPlaneRig, work: () => Promise<void>): Promise<void> {
  const gate = Promise.withResolvers<void>();
  rig.t.node.gates.build = gate.promise;
  await send(rig, 'UpdateMicrovmImage', imageUpdate);
  await work();
  delete rig.t.node.gates.build;
  gate.resolve();
  await rig.t.settle();
}

/** On a server of its own, while the image is being deleted. */
async function whileDeleting(operation: OperationName, input: Input): Promise<unknown> {
  await using rig = await controlPlaneRig();
  await send(rig, 'CreateMicrovmImage', imageRequest);
  await rig.t.settle();
  const gate = Promise.withResolvers<void>();
  rig.t.node.gates.deleteImage = gate.promise;
  await send(rig, 'DeleteMicrovmImage', { imageIdentifier: demoArn });
  return await send(rig, operation, input).finally(gate.resolve);
}

/** On a server of its own, whose account may have nothing more than one image. */
async function overQuota(operation: OperationName, input: Input): Promise<unknown> {
  await using rig = await controlPlaneRig({ maxImages: 1, maxVersions: 1, maxMemoryMib: 0 });
  await send(rig, 'CreateMicrovmImage', imageRequest);
  await rig.t.settle();
  return await send(rig, operation, fresh(input));
}
