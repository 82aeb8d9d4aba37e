// Who may: a bucket belongs to one account, and only that account sees it. Finer rules come through `mayAccess`.
import { header, type Operation, type S3Call } from './call.ts';
import { s3Fault } from './error-table.ts';

/** Rejects with AccessDenied, or NoSuchBucket. */
export async function checkAccess(call: S3Call, operation: Operation): Promise<void> {
  const { deps, target } = call;
  // A bucket that is being created has no owner yet.
  if (target.bucket !== '' && operation.action !== 's3:CreateBucket') {
    const { owner } = await deps.store.headBucket(target.bucket);
    const expected = header(call, 'x-amz-expected-bucket-owner') ?? owner;
    if (owner !== call.account || expected !== owner) throw denied();
  }
  if (operation.action !== undefined) await checkAction(call, operation.action, target.key);
}

/** Asks for one action on the request's bucket, or the object `key` in it. */
export async function checkAction(call: S3Call, action: string, key: string): Promise<void> {
  const { account, accessKeyId, deps, target } = call;
  const path = key === '' ? target.bucket : `${target.bucket}/${key}`;
  const resource = path === '' ? '*' : `arn:aws:s3:::${path}`;
  if (deps.mayAccess && !(await deps.mayAccess({ account, accessKeyId, action, resource }))) throw denied();
}

const denied = (): Error => s3Fault('AccessDenied', 'Access Denied');
