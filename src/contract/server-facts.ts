// What a running server tells of itself to the commands of its machine: the content of `server.json` in its data directory.

export interface ServerFacts {
  apiUrl: string;
  s3Url: string;
  /** Where metrics are served without a signature, if they are. */
  metricsPort?: number | undefined;
  gatewayPort: number;
  /** PEM of the authority of the endpoints. */
  caFile: string;
  accessKeyId: string;
  secretAccessKey: string;
  region: string;
  pid: number;
}
