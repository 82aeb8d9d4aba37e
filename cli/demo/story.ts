// The demo's story, told through the AWS API and HTTPS alone: build, launch two, use them, sleep, wake, suspend, resume, terminate.
import { ResumeMicrovmCommand, SuspendMicrovmCommand } from '@aws-sdk/client-lambda-microvms';
import { z } from 'zod';
import { formatBytes } from '../quantities.ts';
import { microvmAdditions } from './additions.ts';
import { createImage, type ImageVersion, untilBuilt, upload } from './make-image.ts';
import { ask, execute, launch, mintToken, untilState, type Vm } from './microvm.ts';
import type { Project } from './project.ts';
import type { Target } from './target.ts';
import { formatStages, type Timeline } from './timeline.ts';
import type { Traces } from './traces.ts';
import { expect } from './waiting.ts';

export interface Scene {
  target: Target;
  timeline: Timeline;
  /** What has to be removed at the end. */
  traces: Traces;
  signal: AbortSignal;
}

const idleSeconds = 2;
const note = 'Water bears sleep for years.\n';
const maxClockErrorSeconds = 2;

export async function buildImage({ target, timeline, traces, signal }: Scene, project: Project): Promise<ImageVersion> {
  const bucket = `waterbear-demo-${traces.suffix}`;
  const key = 'code-interpreter.zip';
  await timeline.stage('upload', 'Upload the project', async (notes) => {
    traces.artifact = { bucket, key };
    await upload(target, { bucket, key, zip: project.zip }, signal);
    notes.result(`s3://${bucket}/${key}, ${project.files} files, ${formatBytes(project.zip.length)}`);
  });
  return timeline.stage('build', 'Build the image', async (notes) => {
    const name = `code-interpreter-${traces.suffix}`;
    const image = await createImage(target, { name, uri: `s3://${bucket}/${key}` }, signal);
    traces.imageArn = image.imageArn;
    await untilBuilt(target, image, notes, signal);
    notes.result(`${name} version ${image.imageVersion}: Dockerfile, boot, snapshot`);
    return image;
  });
}

/** Launches one MicroVM and waits for its first answer. */
export async function launchOne(
  { target, timeline, signal }: Scene,
  image: ImageVersion,
  who: { id: string; name: string; sleepy: boolean },
): Promise<Vm> {
  const idlePolicy = { maxIdleDurationSeconds: idleSeconds, suspendedDurationSeconds: 600, autoResumeEnabled: true };
  return timeline.stage(who.id, `Launch ${who.name}, first answer`, async (notes) => {
    const launched = await launch(target, { imageArn: image.imageArn, ...(who.sleepy ? { idlePolicy } : {}) }, signal);
    const vm = { ...launched, token: await mintToken(target, launched.microvmId, signal) };
    const { status, body } = await ask(target, vm, { method: 'GET', path: '/' }, signal);
    expect(status === 200, `the first answer was ${status}: ${body.slice(0, 300)}`);
    notes.result(vm.endpoint);
    const facts = await microvmAdditions(target, vm.microvmId);
    if (facts?.launch) notes.below(`on the host: ${formatStages(facts.launch)}`);
    if (facts?.repaired?.length) notes.below(`made fresh: ${facts.repaired.join(', ')}`);
    return vm;
  });
}

export async function useBoth({ target, timeline, signal }: Scene, a: Vm, b: Vm): Promise<void> {
  await timeline.stage('execute', 'Run x = 41 in A', async (notes) => {
    const { result, error } = await execute(target, a, 'x = 41\nx', signal);
    expect(result === '41' && error === null, `x in A is ${result}`);
    notes.result(`x is ${result}`);
  });
  await timeline.stage('file', 'Write a file in A', async (notes) => {
    const { status } = await ask(target, a, { method: 'PUT', path: '/files/note.txt', body: note }, signal);
    expect(status === 200, `writing a file was answered with ${status}`);
    notes.result(`/workspace/note.txt, ${formatBytes(note.length)}`);
  });
  await timeline.stage('isolation', 'Look for x and the file in B', async (notes) => {
    const { error } = await execute(target, b, 'x', signal);
    expect(error?.name === 'NameError', `x in B gave ${error?.name ?? 'a value'} and not a NameError`);
    const { status } = await ask(target, b, { method: 'GET', path: '/files/note.txt' }, signal);
    expect(status === 404, `the file of A in B was answered with ${status}`);
    notes.result(`${error.name}: ${error.message}; no such file`);
  });
  await timeline.stage('identity', 'Compare what makes them unique', async (notes) => {
    const [ofA, ofB] = [await identity(target, a, signal), await identity(target, b, signal)];
    const same = Object.keys(ofA).filter((name) => ofA[name] === ofB[name]);
    expect(same.length === 0, `A and B have the same ${same.join(', ')}`);
    notes.result(`different: ${Object.keys(ofA).join(', ')}`);
  });
}

export async function sleepAndWake({ target, timeline, signal }: Scene, vm: Vm): Promise<void> {
  await timeline.stage('idle', `Leave A alone (idle limit ${idleSeconds} s)`, async (notes) => {
    await untilState(target, vm, 'SUSPENDED', signal);
    const facts = await microvmAdditions(target, vm.microvmId);
    notes.result(facts?.asleepBytes ? `SUSPENDED, ${formatBytes(facts.asleepBytes)} kept` : 'SUSPENDED');
    if (facts?.suspend) notes.below(`on the host: ${formatStages(facts.suspend)}`);
  });
  await timeline.stage('wake', 'Send a request to sleeping A', async (notes) => {
    const code = 'import time\nx += 1\nx, open("note.txt").read(), time.time()';
    const { result, error } = await execute(target, vm, code, signal);
    expect(error === null, `A forgot: ${error?.name}: ${error?.message}`);
    const [, x, text, clock] = /^\((\d+), '(.*)', ([\d.]+)\)$/.exec(result ?? '') ?? [];
    expect(x === '42', `x should be 42 after waking, not ${result}`);
    expect(text === JSON.stringify(note).slice(1, -1), `the file holds ${text}`);
    const errorSeconds = Math.abs(Number(clock) - Date.now() / 1000);
    expect(errorSeconds < maxClockErrorSeconds, `the clock of A is ${errorSeconds.toFixed(1)} s wrong`);
    notes.result(`x is ${x}, the file is there, the clock is right`);
    const facts = await microvmAdditions(target, vm.microvmId);
    if (facts?.wake) notes.below(`on the host: ${formatStages(facts.wake)}`);
  });
}

export async function suspendAndResume({ target, timeline, signal }: Scene, vm: Vm): Promise<void> {
  const microvmIdentifier = vm.microvmId;
  await execute(target, vm, 'y = "kept"', signal);
  await timeline.stage('suspend', 'SuspendMicrovm B', async (notes) => {
    await target.microvms.send(new SuspendMicrovmCommand({ microvmIdentifier }), { abortSignal: signal });
    await untilState(target, vm, 'SUSPENDED', signal);
    const facts = await microvmAdditions(target, vm.microvmId);
    notes.result(facts?.asleepBytes ? `SUSPENDED, ${formatBytes(facts.asleepBytes)} kept` : 'SUSPENDED');
  });
  await timeline.stage('resume', 'ResumeMicrovm B', async (notes) => {
    await target.microvms.send(new ResumeMicrovmCommand({ microvmIdentifier }), { abortSignal: signal });
    await untilState(target, vm, 'RUNNING', signal);
    notes.result('RUNNING');
  });
  await timeline.stage('remember', 'Ask B what it remembers', async (notes) => {
    const { result } = await execute(target, vm, 'y', signal);
    expect(result === "'kept'", `y in B is ${result} after the resume`);
    notes.result(`y is ${result}`);
  });
}

const identityAnswer = z.record(z.string(), z.string());
const identityCode = `import json, os, random, socket
def read(path):
    with open(path) as file:
        return file.read().strip()
print(json.dumps({
    "hostname": socket.gethostname(),
    "machine-id": read("/etc/machine-id"),
    "boot-id": read("/proc/sys/kernel/random/boot_id"),
    "kernel entropy": os.urandom(16).hex(),
    "Python's random": str(random.getrandbits(64)),
}))`;

async function identity(target: Target, vm: Vm, signal: AbortSignal): Promise<Record<string, string>> {
  const { stdout, error } = await execute(target, vm, identityCode, signal);
  expect(error === null, `asking for the identity gave ${error?.name}: ${error?.message}`);
  return identityAnswer.parse(JSON.parse(stdout));
}
