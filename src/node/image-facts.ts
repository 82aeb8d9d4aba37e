// What a MicroVM takes from its image's record: its hooks, and what it asks of the host.
import type { ImageRecord } from '../build/image-record.ts';
import type { Demand } from './admission/admission.ts';

export type ImageFacts = Omit<ImageRecord, 'format' | 'buildId' | 'imageArn' | 'imageVersion'>;

/** A MicroVM whose image cannot be read does not wake; until then it counts as the usual size. */
export const unknownImage: ImageFacts = {
  ...{ hooks: {}, baselineMib: 2048, memoryMib: 2048, vcpus: 1, diskMib: 8192, memorySnapshotBytes: 0 },
};

export function demandOf(buildId: string, facts: ImageFacts): Demand {
  const { baselineMib, memoryMib, vcpus, memorySnapshotBytes } = facts;
  return { baselineMib, memoryMib, vcpus, image: { id: buildId, mib: Math.ceil(memorySnapshotBytes / 2 ** 20) } };
}
