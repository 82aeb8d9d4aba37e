// The operations by the name the API gives them.
import type { OperationName, OperationTypes } from '../../contract/generated/operations.ts';
import type { CoreOperationName, CoreOperationTypes } from '../../contract/lambda-core.ts';
import type { AppContext } from '../context.ts';
import type { Caller } from '../settings.ts';
import { createMicrovmAuthToken } from './create-microvm-auth-token.ts';
import { createMicrovmImage } from './create-microvm-image.ts';
import { createMicrovmShellAuthToken } from './create-microvm-shell-auth-token.ts';
import { createNetworkConnector } from './create-network-connector.ts';
import { deleteMicrovmImage } from './delete-microvm-image.ts';
import { deleteMicrovmImageVersion } from './delete-microvm-image-version.ts';
import { deleteNetworkConnector } from './delete-network-connector.ts';
import { getMicrovm } from './get-microvm.ts';
import { getMicrovmImage } from './get-microvm-image.ts';
import { getMicrovmImageBuild } from './get-microvm-image-build.ts';
import { getMicrovmImageVersion } from './get-microvm-image-version.ts';
import { getNetworkConnector } from './get-network-connector.ts';
import { listManagedMicrovmImageVersions } from './list-managed-microvm-image-versions.ts';
import { listManagedMicrovmImages } from './list-managed-microvm-images.ts';
import { listMicrovmImageBuilds } from './list-microvm-image-builds.ts';
import { listMicrovmImageVersions } from './list-microvm-image-versions.ts';
import { listMicrovmImages } from './list-microvm-images.ts';
import { listMicrovms } from './list-microvms.ts';
import { listNetworkConnectors } from './list-network-connectors.ts';
import { listTags } from './list-tags.ts';
import { resumeMicrovm } from './resume-microvm.ts';
import { runMicrovm } from './run-microvm.ts';
import { suspendMicrovm } from './suspend-microvm.ts';
import { tagResource } from './tag-resource.ts';
import { terminateMicrovm } from './terminate-microvm.ts';
import { untagResource } from './untag-resource.ts';
import { updateMicrovmImage } from './update-microvm-image.ts';
import { updateMicrovmImageVersion } from './update-microvm-image-version.ts';
import { updateNetworkConnector } from './update-network-connector.ts';

type Implementation<T extends { input: unknown; output: unknown }> = (
  app: AppContext,
  caller: Caller,
  input: T['input'],
) => Promise<T['output']>;

export const implementations: { readonly [N in OperationName]: Implementation<OperationTypes[N]> } = {
  CreateMicrovmAuthToken: createMicrovmAuthToken,
  CreateMicrovmImage: createMicrovmImage,
  CreateMicrovmShellAuthToken: createMicrovmShellAuthToken,
  DeleteMicrovmImage: deleteMicrovmImage,
  DeleteMicrovmImageVersion: deleteMicrovmImageVersion,
  GetMicrovm: getMicrovm,
  GetMicrovmImage: getMicrovmImage,
  GetMicrovmImageBuild: getMicrovmImageBuild,
  GetMicrovmImageVersion: getMicrovmImageVersion,
  ListManagedMicrovmImages: listManagedMicrovmImages,
  ListManagedMicrovmImageVersions: listManagedMicrovmImageVersions,
  ListMicrovmImageBuilds: listMicrovmImageBuilds,
  ListMicrovmImages: listMicrovmImages,
  ListMicrovmImageVersions: listMicrovmImageVersions,
  ListMicrovms: listMicrovms,
  ListTags: listTags,
  ResumeMicrovm: resumeMicrovm,
  RunMicrovm: runMicrovm,
  SuspendMicrovm: suspendMicrovm,
  TagResource: tagResource,
  TerminateMicrovm: terminateMicrovm,
  UntagResource: untagResource,
  UpdateMicrovmImage: updateMicrovmImage,
  UpdateMicrovmImageVersion: updateMicrovmImageVersion,
};

export const coreImplementations: { readonly [N in CoreOperationName]: Implementation<CoreOperationTypes[N]> } = {
  CreateNetworkConnector: createNetworkConnector,
  DeleteNetworkConnector: deleteNetworkConnector,
  GetNetworkConnector: getNetworkConnector,
  ListNetworkConnectors: listNetworkConnectors,
  UpdateNetworkConnector: updateNetworkConnector,
};
