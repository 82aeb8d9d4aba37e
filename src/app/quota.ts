// Limits of the account, as the error that names them. Reference k.1: the codes of AWS where they are known, speaking names elsewhere.
import { Fault } from '../lib/errors.ts';

export type QuotaCode =
  | 'L-CD1C0CC4'
  | 'microvm-images'
  | 'microvm-image-versions'
  | 'concurrent-microvm-image-builds'
  | 'network-connectors';

export interface ExceededQuota {
  quotaCode: QuotaCode;
  resourceType: string;
  /** What the limit is of, where that is one resource. */
  resourceId?: string;
  what: string;
}

export const quotaExceeded = (exceeded: ExceededQuota): Fault =>
  new Fault('quota_exceeded', { ...exceeded, serviceCode: 'lambda' });
