// Choices that show in a single call: names, forms and limits.
import { demoArn, imageRequest } from '../../../../src/app/testing/test-app.ts';
import type { ControlPlaneRig } from '../../../fake/control-plane-rig.ts';
import { signedFetch } from '../../../fake/signed-fetch.ts';
import { type Input, send } from '../operation-cases.ts';
import { type Choice, refused } from './choice.ts';

/** A server with an image and a MicroVM, and what RunMicrovm said of it. */
export interface WithVm {
  rig: ControlPlaneRig;
  vm: Input;
}

const run = ({ rig }: WithVm, input: Input): Promise<Input> =>
  send(rig, 'RunMicrovm', { imageIdentifier: demoArn, ...input });
const create = ({ rig }: WithVm, input: Input): Promise<Input> =>
  send(rig, 'CreateMicrovmImage', { ...imageRequest, name: 'another', ...input });
const version = { imageIdentifier: demoArn, imageVersion: '1.0' };

/** As it comes over the wire: the SDK keeps members to itself that it does not know. */
async function raw({ rig }: WithVm, path: string): Promise<object> {
  const arn = encodeURIComponent(demoArn);
  return (await (await signedFetch(rig, `/2025-09-09/${path.replace('{image}', arn)}`)).json()) as object;
}

/** Members of image calls. */
const ofImages: readonly Choice<WithVm>[] = [
  {
    row: 5,
    topic: 'Image failure state: `CREATION_FAILED` or `CREATE_FAILED`',
    choice: '`CREATE_FAILED`',
    async check({ rig }) {
      const artifact = { codeArtifact: { uri: 's3://bucket/nothing.zip' } };
      const { imageArn } = await send(rig, 'CreateMicrovmImage', { ...imageRequest, name: 'bad', ...artifact });
      await rig.t.settle();
      return (await send(rig, 'GetMicrovmImage', { imageIdentifier: imageArn })).state === 'CREATE_FAILED';
    },
  },
  {
    row: 6,
    topic: 'Member that activates a version: `state` or `status`',
    choice: '`status`; without it the call is refused',
    check: ({ rig }) => refused(send(rig, 'UpdateMicrovmImageVersion', { ...version, state: 'ACTIVE' }), "'status'"),
  },
  {
    row: 8,
    topic: 'Members of GetMicrovmImage: `imageName`, `imageVersion` or `name`, `latestActiveImageVersion`',
    choice: '`name`, `latestActiveImageVersion`',
    async check(subject) {
      const answer = await raw(subject, 'microvm-images/{image}');
      const has = (name: string): boolean => name in answer;
      return has('name') && has('latestActiveImageVersion') && !has('imageName') && !has('imageVersion');
    },
  },
  {
    row: 9,
    topic: 'Image identifier: name or ARN',
    choice: 'the ARN; a name is refused',
    check: ({ rig }) => refused(send(rig, 'GetMicrovmImage', { imageIdentifier: 'demo' }), 'Invalid ARN format'),
  },
  {
    row: 13,
    topic: 'Build role: optional or required',
    choice: 'required',
    check: (subject) => refused(create(subject, { buildRoleArn: undefined }), "'buildRoleArn'"),
  },
  {
    row: 14,
    topic: 'Member for the size: `memory` or `resources`',
    choice: '`resources`; `memory` is ignored like every member that nobody knows',
    async check({ rig }) {
      const { resources: _, ...request } = imageRequest;
      await send(rig, 'CreateMicrovmImage', { ...request, name: 'sized', memory: 512 });
      const { resources } = await send(rig, 'GetMicrovmImageVersion', {
        imageIdentifier: demoArn.replace('demo', 'sized'),
        imageVersion: '1.0',
      });
      return JSON.stringify(resources) === '[{"minimumMemoryInMiB":2048}]';
    },
  },
  {
    row: 24,
    topic: 'Status of a managed base: five stages or `AVAILABLE` and `DEPRECATED`',
    choice: 'the two',
    async check({ rig }) {
      const base = { imageIdentifier: imageRequest.baseImageArn };
      const { items } = await send(rig, 'ListManagedMicrovmImageVersions', base);
      return (items as { status: string }[]).every(({ status }) => ['AVAILABLE', 'DEPRECATED'].includes(status));
    },
  },
  {
    row: 25,
    topic: 'Egress connectors of an image: 1 or 10',
    choice: '1',
    check(subject) {
      const egressNetworkConnectors = Array(2).fill('arn:aws:lambda:us-east-1:aws:network-connector:x:INTERNET_EGRESS');
      return refused(create(subject, { egressNetworkConnectors }), 'length less than or equal to 1');
    },
  },
  {
    row: 26,
    topic: 'Artifact: S3 only or also a registry',
    choice: 'S3 only',
    check: (subject) =>
      refused(
        create(subject, { codeArtifact: { uri: '123456789012.dkr.ecr.us-east-1.amazonaws.com/x' } }),
        'valid S3 URI',
      ),
  },
  {
    row: 39,
    topic: 'Tags: images among what can be tagged or not',
    choice: 'images and network connectors',
    async check({ rig }) {
      await send(rig, 'TagResource', { Resource: demoArn, Tags: { tried: 'out' } });
      const { Tags } = await send(rig, 'ListTags', { Resource: demoArn });
      return JSON.stringify(Tags) === '{"tried":"out"}';
    },
  },
];

/** Members of MicroVM calls. */
const ofMicrovms: readonly Choice<WithVm>[] = [
  {
    row: 1,
    topic: 'Size of `runHookPayload`: 16 KB or 4,096',
    choice: '4,096; 4,097 are refused before anything else',
    check: (subject) => refused(run(subject, { runHookPayload: 'x'.repeat(4097) }), 'less than or equal to 4096'),
  },
  {
    row: 2,
    topic: 'Unit of that size: bytes or characters',
    choice: 'UTF-16 units: 4,096 of two bytes each get as far as the check of the hook',
    check: (subject) => refused(run(subject, { runHookPayload: 'ü'.repeat(4096) }), 'run hook must be enabled'),
  },
  {
    row: 7,
    topic: 'Why a MicroVM ended: `terminationMessage` or `stateReason`',
    choice: '`stateReason`',
    async check(subject) {
      const { microvmId } = await run(subject, {});
      const { t } = subject.rig;
      await t.settle();
      t.node.end(String(microvmId), { cause: 'application_exited', what: 'It ended.' });
      await t.settle();
      const answer = await raw(subject, `microvms/${microvmId}`);
      return Reflect.get(answer, 'stateReason') === 'It ended.' && !('terminationMessage' in answer);
    },
  },
  {
    row: 10,
    topic: 'Prefix of MicroVM ids: `mvm-`, `ai-` or `microvm-`',
    choice: '`microvm-`',
    check: async ({ vm }) => /^microvm-[0-9a-f-]{36}$/.test(String(vm.microvmId)),
  },
  {
    row: 11,
    topic: 'Id in the endpoint: that of the MicroVM or another',
    choice: 'another',
    check: async ({ vm }) => !String(vm.endpoint).includes(String(vm.microvmId).slice('microvm-'.length)),
  },
  {
    row: 12,
    topic: '`endpoint`: URL or host',
    choice: 'a bare host',
    check: async ({ vm }) => /^[a-z0-9.:-]+$/.test(String(vm.endpoint)),
  },
  {
    row: 22,
    topic: 'Default ingress: `ALL_INGRESS` or `HTTP_INGRESS`',
    choice: '`HTTP_INGRESS`',
    check: async ({ vm }) => connector(vm, 'ingressNetworkConnectors') === 'HTTP_INGRESS',
  },
  {
    row: 36,
    topic: 'Omitted egress: none or internet',
    choice: '`INTERNET_EGRESS`',
    check: async ({ vm }) => connector(vm, 'egressNetworkConnectors') === 'INTERNET_EGRESS',
  },
  {
    row: 38,
    topic: 'Version for RunMicrovm: needed or optional',
    choice: 'optional: the latest active one',
    check: async ({ vm }) => vm.imageVersion === '1.0',
  },
];

const connector = (vm: Input, member: string): string => String([vm[member]].flat()[0]).split(':').at(-1) ?? '';

export const wireChoices = [...ofImages, ...ofMicrovms];
