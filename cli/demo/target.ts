// Who the demo talks to: clients of the two AWS SDKs, and what HTTPS requests to MicroVMs need to trust.
import { LambdaMicrovmsClient } from '@aws-sdk/client-lambda-microvms';
import { S3Client } from '@aws-sdk/client-s3';
import type { Signer } from '../server-api.ts';

export interface TargetFacts {
  /** Absent: as the SDK finds them in the environment. */
  apiUrl?: string;
  s3Url?: string;
  region: string;
  /** Absent: the SDK's own chain. */
  credentials?: { accessKeyId: string; secretAccessKey: string };
  /** PEM of the authority that signed the endpoints' certificate; absent: what Node trusts. */
  ca?: string;
}

export interface Target {
  microvms: LambdaMicrovmsClient;
  s3: S3Client;
  region: string;
  ca: string | undefined;
  /** For Waterbear's own additions; the demo passes without them. */
  additions: { apiUrl: string; signer: Signer } | undefined;
  destroy(): void;
}

export function openTarget(facts: TargetFacts): Target {
  const common = { region: facts.region, ...(facts.credentials ? { credentials: facts.credentials } : {}) };
  const microvms = new LambdaMicrovmsClient({ ...common, ...(facts.apiUrl ? { endpoint: facts.apiUrl } : {}) });
  const s3 = new S3Client({ ...common, ...(facts.s3Url ? { endpoint: facts.s3Url } : {}), forcePathStyle: true });
  const { apiUrl, credentials, region } = facts;
  return {
    microvms,
    s3,
    region,
    ca: facts.ca,
    additions: apiUrl && credentials ? { apiUrl, signer: { ...credentials, region } } : undefined,
    destroy: () => {
      microvms.destroy();
      s3.destroy();
    },
  };
}
