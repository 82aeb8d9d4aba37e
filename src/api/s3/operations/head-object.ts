// https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
import { header, type Operation } from '../call.ts';
import { isNotModified } from '../conditions.ts';
import { objectHeaders } from '../metadata.ts';
import { parseRange } from '../range.ts';

export const headObject: Operation = {
  action: 's3:GetObject',
  async run(call) {
    const info = await call.deps.store.head(call.target.bucket, call.target.key);
    if (isNotModified(call, info)) return { status: 304, headers: { etag: info.etag } };
    const range = parseRange(header(call, 'range'), info.bytes);
    const headers = objectHeaders(info);
    if (!range) return { status: 200, headers: { ...headers, 'content-length': String(info.bytes) } };
    const length = String(range.end - range.start + 1);
    const contentRange = `bytes ${range.start}-${range.end}/${info.bytes}`;
    return { status: 206, headers: { ...headers, 'content-length': length, 'content-range': contentRange } };
  },
};
