// Calls on one image with the real client, and the errors it answers with.
import {
  CreateMicrovmImageCommand,
  DeleteMicrovmImageVersionCommand,
  GetMicrovmImageCommand,
  GetMicrovmImageVersionCommand,
  UpdateMicrovmImageCommand,
  UpdateMicrovmImageVersionCommand,
} from '@aws-sdk/client-lambda-microvms';
import { expect } from 'vitest';
import { demoArn, imageRequest } from '../../src/app/testing/test-app.ts';
import type { ControlPlaneRig } from './control-plane-rig.ts';

export const image = { imageIdentifier: demoArn };
const { name: _name, ...configuration } = imageRequest;

/** What an update of the image needs. */
export const spec = configuration;

/** Makes a build fail. */
export const noZip = { codeArtifact: { uri: 's3://bucket/no.zip' } };

export async function withImage(rig: ControlPlaneRig, versions = 1): Promise<void> {
  await rig.client.send(new CreateMicrovmImageCommand(imageRequest));
  await rig.t.settle();
  for (let i = 1; i < versions; i++) await update(rig);
}

/** Resolves when the new version is built. */
export async function update(rig: ControlPlaneRig, more: Partial<typeof spec> = {}): Promise<void> {
  await rig.client.send(new UpdateMicrovmImageCommand({ ...image, ...spec, ...more }));
  await rig.t.settle();
}

export const getImage = (rig: ControlPlaneRig) => rig.client.send(new GetMicrovmImageCommand(image));

export const getVersion = (rig: ControlPlaneRig, imageVersion: string) =>
  rig.client.send(new GetMicrovmImageVersionCommand({ ...image, imageVersion }));

export const deleteVersion = (rig: ControlPlaneRig, imageVersion: string) =>
  rig.client.send(new DeleteMicrovmImageVersionCommand({ ...image, imageVersion }));

export const setStatus = (rig: ControlPlaneRig, imageVersion: string, status: 'ACTIVE' | 'INACTIVE') =>
  rig.client.send(new UpdateMicrovmImageVersionCommand({ ...image, imageVersion, status }));

export const refusal = (name: string, httpStatusCode: number, message: string) => ({
  name,
  $metadata: { httpStatusCode, requestId: expect.any(String) },
  message: expect.stringContaining(message),
});

export const conflict = (message: string) => ({
  ...refusal('ConflictException', 409, message),
  resourceType: 'microvm-image',
  resourceId: demoArn,
});

export const invalid = (message: string) => refusal('ValidationException', 400, message);

export const notFound = (message: string) => refusal('ResourceNotFoundException', 404, message);
