// Checks on what a caller names: images, MicroVMs. Messages follow the live service.

import type { ImageState } from '../contract/states.ts';
import { type ArnParts, parseArn } from '../lib/arn.ts';
import { Fault } from '../lib/errors.ts';
import { findImage } from '../store/images.ts';
import { findMicrovm } from '../store/microvms.ts';
import type { Database, ImageRow, MicrovmRow } from '../store/tables.ts';
import type { AppContext } from './context.ts';
import type { Caller } from './settings.ts';

export const invalid = (what: string): Fault => new Fault('invalid_input', { what });

/** As the live service words them: RunMicrovm says one, the image operations the other. */
export type ArnWording = 'Malformed ARN' | 'Invalid ARN format';

/** Checks the form of an image ARN and that the caller may name it. */
export function checkImageArn(caller: Caller, imageArn: string, wording: ArnWording): ArnParts {
  const parts = parseArn(imageArn);
  if (parts?.service !== 'lambda' || !/^microvm-image[:/]/.test(parts.resource)) {
    throw invalid(
      `${wording} ${imageArn}. An image is named by its ARN, arn:aws:lambda:REGION:ACCOUNT:microvm-image:NAME.`,
    );
  }
  const isOwn = parts.account === caller.account || parts.account === 'aws';
  if (!isOwn || parts.resource.startsWith('microvm-image/')) {
    throw new Fault('access_denied', { what: `Account ${caller.account} is not authorized to access ${imageArn}` });
  }
  return parts;
}

export const imageNotFound = (imageArn: string): Fault =>
  new Fault('not_found', {
    what: `MicroVMImage not found for MicroVMImageID: ${imageArn}`,
    resourceType: 'microvm-image',
    resourceId: imageArn,
  });

export async function requireImage(
  { db }: { db: Database },
  caller: Caller,
  imageArn: string,
  wording: ArnWording,
): Promise<ImageRow> {
  checkImageArn(caller, imageArn, wording);
  const image = await findImage(db, imageArn);
  if (image) return image;
  throw imageNotFound(imageArn);
}

const settled: readonly ImageState[] = ['CREATED', 'CREATE_FAILED', 'UPDATED', 'UPDATE_FAILED'];

/** Throws `conflict` while something is under way with the image; `also` is a further state that will do. */
export function requireSettled({ imageArn, state }: ImageRow, also?: ImageState): void {
  if (settled.includes(state) || state === also) return;
  const what = `MicroVM Image is already in state: ${state}`;
  throw new Fault('conflict', { what, resourceType: 'microvm-image', resourceId: imageArn });
}

/** A MicroVM of another account does not exist for the caller. */
export async function requireMicrovm(app: AppContext, caller: Caller, microvmId: string): Promise<MicrovmRow> {
  const row = app.index.get(microvmId)?.row ?? (await findMicrovm(app.db, microvmId));
  if (row?.account === caller.account) return row;
  const what = `Unable to find microvmIdentifier ${microvmId}`;
  throw new Fault('not_found', { what, resourceType: 'microvm', resourceId: microvmId });
}

export const conflict = (row: MicrovmRow, doing: string): Fault =>
  new Fault('conflict', {
    what: `MicroVM ${row.microvmId} is ${row.state} and cannot be ${doing}.`,
    resourceType: 'microvm',
    resourceId: row.microvmId,
  });
