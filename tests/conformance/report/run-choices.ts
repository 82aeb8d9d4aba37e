// Where sources disagree: what this service does, tried out.
import { demoArn, imageRequest } from '../../../src/app/testing/test-app.ts';
import { type ControlPlaneRig, controlPlaneRig } from '../../fake/control-plane-rig.ts';
import { type Input, send } from './operation-cases.ts';

export interface ChoiceResult {
  topic: string;
  choice: string;
  holds: boolean;
}

type Check = (rig: ControlPlaneRig, vm: Input) => Promise<boolean>;

const refused = (call: Promise<unknown>, what: string): Promise<boolean> =>
  call.then(
    () => false,
    (error: unknown) => String(error).includes(what),
  );
const run = (rig: ControlPlaneRig, input: Input): Promise<Input> =>
  send(rig, 'RunMicrovm', { imageIdentifier: demoArn, ...input });
const id = (vm: Input): Input => ({ microvmIdentifier: vm.microvmId });
const connector = (vm: Input, member: string): string => String([vm[member]].flat()[0]).split(':').at(-1) ?? '';

const choices: readonly [string, string, Check][] = [
  [
    'Size of `runHookPayload`: 16 KB or 4,096',
    '4,096; 4,097 are refused before anything else',
    (rig) => refused(run(rig, { runHookPayload: 'x'.repeat(4097) }), 'less than or equal to 4096'),
  ],
  [
    'Unit of that size: bytes or characters',
    'UTF-16 units: 4,096 of two bytes each get as far as the check of the hook',
    (rig) => refused(run(rig, { runHookPayload: 'ü'.repeat(4096) }), 'run hook must be enabled'),
  ],
  [
    'Image identifier: name or ARN',
    'the ARN; a name is refused',
    (rig) => refused(send(rig, 'GetMicrovmImage', { imageIdentifier: 'demo' }), 'Invalid ARN format'),
  ],
  [
    'Image failure state: `CREATION_FAILED` or `CREATE_FAILED`',
    '`CREATE_FAILED`',
    async (rig) => {
      const artifact = { codeArtifact: { uri: 's3://bucket/nothing.zip' } };
      const { imageArn } = await send(rig, 'CreateMicrovmImage', { ...imageRequest, name: 'bad', ...artifact });
      await rig.t.settle();
      return (await send(rig, 'GetMicrovmImage', { imageIdentifier: imageArn })).state === 'CREATE_FAILED';
    },
  ],
  [
    'Prefix of MicroVM ids: `mvm-`, `ai-` or `microvm-`',
    '`microvm-`',
    async (_rig, vm) => /^microvm-[0-9a-f-]{36}$/.test(String(vm.microvmId)),
  ],
  [
    'Id in the endpoint: that of the MicroVM or another',
    'another',
    async (_rig, vm) => !String(vm.endpoint).includes(String(vm.microvmId).slice('microvm-'.length)),
  ],
  ['`endpoint`: URL or host', 'a bare host', async (_rig, vm) => /^[a-z0-9.:-]+$/.test(String(vm.endpoint))],
  [
    'Build role: optional or required',
    'required',
    (rig) =>
      refused(
        send(rig, 'CreateMicrovmImage', { ...imageRequest, name: 'x', buildRoleArn: undefined }),
        "'buildRoleArn'",
      ),
  ],
  [
    'Egress connectors of an image: 1 or 10',
    '1',
    (rig) => {
      const egressNetworkConnectors = Array(2).fill('arn:aws:lambda:us-east-1:aws:network-connector:x:INTERNET_EGRESS');
      const call = send(rig, 'CreateMicrovmImage', { ...imageRequest, name: 'x', egressNetworkConnectors });
      return refused(call, 'length less than or equal to 1');
    },
  ],
  [
    'Artifact: S3 only or also a registry',
    'S3 only',
    (rig) => {
      const codeArtifact = { uri: '123456789012.dkr.ecr.us-east-1.amazonaws.com/x' };
      return refused(send(rig, 'CreateMicrovmImage', { ...imageRequest, name: 'x', codeArtifact }), 'valid S3 URI');
    },
  ],
  [
    'Default ingress: `ALL_INGRESS` or `HTTP_INGRESS`',
    '`HTTP_INGRESS`',
    async (_rig, vm) => connector(vm, 'ingressNetworkConnectors') === 'HTTP_INGRESS',
  ],
  [
    'Omitted egress: none or internet',
    '`INTERNET_EGRESS`',
    async (_rig, vm) => connector(vm, 'egressNetworkConnectors') === 'INTERNET_EGRESS',
  ],
  [
    'Version for RunMicrovm: needed or optional',
    'optional: the latest active one',
    async (_rig, vm) => vm.imageVersion === '1.0',
  ],
  [
    'Resume of a RUNNING, Suspend of a SUSPENDED MicroVM: 409 or 200',
    '200',
    async (rig, vm) => {
      await send(rig, 'ResumeMicrovm', id(vm));
      await send(rig, 'SuspendMicrovm', id(vm));
      await rig.t.settle();
      await send(rig, 'SuspendMicrovm', id(vm));
      return (await send(rig, 'GetMicrovm', id(vm))).state === 'SUSPENDED';
    },
  ],
];

export async function runChoices(): Promise<ChoiceResult[]> {
  await using rig = await controlPlaneRig();
  await send(rig, 'CreateMicrovmImage', imageRequest);
  await rig.t.settle();
  const vm = await run(rig, {});
  await rig.t.settle();
  const results: ChoiceResult[] = [];
  for (const [topic, choice, check] of choices) results.push({ topic, choice, holds: await check(rig, vm) });
  return results;
}
