// The operations this version has, by the name the API gives them.
import type { OperationName, OperationTypes } from '../../contract/generated/operations.ts';
import type { AppContext } from '../context.ts';
import type { Caller } from '../settings.ts';
import { createMicrovmAuthToken } from './create-microvm-auth-token.ts';
import { createMicrovmImage } from './create-microvm-image.ts';
import { getMicrovm } from './get-microvm.ts';
import { getMicrovmImage } from './get-microvm-image.ts';
import { getMicrovmImageBuild } from './get-microvm-image-build.ts';
import { getMicrovmImageVersion } from './get-microvm-image-version.ts';
import { listManagedMicrovmImages } from './list-managed-microvm-images.ts';
import { listMicrovmImageBuilds } from './list-microvm-image-builds.ts';
import { listMicrovms } from './list-microvms.ts';
import { resumeMicrovm } from './resume-microvm.ts';
import { runMicrovm } from './run-microvm.ts';
import { suspendMicrovm } from './suspend-microvm.ts';
import { terminateMicrovm } from './terminate-microvm.ts';

type Implementation<N extends OperationName> = (
  app: AppContext,
  caller: Caller,
  input: OperationTypes[N]['input'],
) => Promise<OperationTypes[N]['output']>;

export const implementations: { readonly [N in OperationName]?: Implementation<N> } = {
  CreateMicrovmAuthToken: createMicrovmAuthToken,
  CreateMicrovmImage: createMicrovmImage,
  GetMicrovm: getMicrovm,
  GetMicrovmImage: getMicrovmImage,
  GetMicrovmImageBuild: getMicrovmImageBuild,
  GetMicrovmImageVersion: getMicrovmImageVersion,
  ListManagedMicrovmImages: listManagedMicrovmImages,
  ListMicrovmImageBuilds: listMicrovmImageBuilds,
  ListMicrovms: listMicrovms,
  ResumeMicrovm: resumeMicrovm,
  RunMicrovm: runMicrovm,
  SuspendMicrovm: suspendMicrovm,
  TerminateMicrovm: terminateMicrovm,
};
