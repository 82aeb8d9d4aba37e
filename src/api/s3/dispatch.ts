// Which operation a request means: method, what it names, and the sub-resource in its query.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
import type { Operation } from './call.ts';
import type { Target } from './detect.ts';
import { s3Fault } from './error-table.ts';
import { abortMultipartUpload } from './operations/abort-multipart-upload.ts';
import { completeMultipartUpload } from './operations/complete-multipart-upload.ts';
import { createBucket } from './operations/create-bucket.ts';
import { createMultipartUpload } from './operations/create-multipart-upload.ts';
import { deleteObject } from './operations/delete-object.ts';
import { deleteObjects } from './operations/delete-objects.ts';
import { getBucketLocation } from './operations/get-bucket-location.ts';
import { getObject } from './operations/get-object.ts';
import { headBucket } from './operations/head-bucket.ts';
import { headObject } from './operations/head-object.ts';
import { listBuckets } from './operations/list-buckets.ts';
import { listObjects } from './operations/list-objects.ts';
import { listObjectsV2 } from './operations/list-objects-v2.ts';
import { putObject } from './operations/put-object.ts';
import { uploadPart } from './operations/upload-part.ts';

// Method, level, and the sub-resources that select the operation, sorted.
const operations: Record<string, Operation> = {
  'GET service': listBuckets,
  'PUT bucket': createBucket,
  'HEAD bucket': headBucket,
  'GET bucket': listObjects,
  'GET bucket list-type': listObjectsV2,
  'GET bucket location': getBucketLocation,
  'POST bucket delete': deleteObjects,
  'PUT object': putObject,
  'GET object': getObject,
  'HEAD object': headObject,
  'DELETE object': deleteObject,
  'POST object uploads': createMultipartUpload,
  'PUT object partNumber uploadId': uploadPart,
  'POST object uploadId': completeMultipartUpload,
  'DELETE object uploadId': abortMultipartUpload,
};

// Parameters that turn a request into another operation; an unknown one must not be taken for a plain read or write.
const subresources = new Set(
  `accelerate acl analytics append attributes cors delete encryption intelligent-tiering inventory legal-hold lifecycle
  list-type location logging metadataConfiguration metadataTable metrics notification object-lock ownershipControls
  partNumber policy policyStatus publicAccessBlock replication requestPayment renameObject restore retention select
  session tagging torrent uploadId uploads versionId versioning versions website`.split(/\s+/),
);

// Headers that ask for what is not there; ignoring them would be a false promise.
const unsupportedHeaders = [
  /^x-amz-copy-source/,
  /^x-amz-server-side-encryption/,
  /^x-amz-object-lock/,
  /^x-amz-bucket-object-lock/,
  /^x-amz-grant-/,
  /^x-amz-tagging$/,
  /^x-amz-website-redirect-location$/,
  /^x-amz-write-offset-bytes$/,
];

export function dispatch(
  method: string,
  target: Target,
  query: URLSearchParams,
  headers: Readonly<Record<string, unknown>>,
): Operation {
  const level = target.bucket === '' ? 'service' : target.key === '' ? 'bucket' : 'object';
  const selectors = [...new Set(query.keys())].filter((name) => subresources.has(name)).sort();
  if (query.get('versionId') === 'null') selectors.splice(selectors.indexOf('versionId'), 1);
  const signature = [method, level, ...selectors].join(' ');
  const operation = Object.hasOwn(operations, signature) ? operations[signature] : undefined;
  if (!operation) throw s3Fault('NotImplemented', `This S3 endpoint does not implement the request '${signature}'.`);
  // Presigned URLs carry headers as query parameters.
  const names = [...Object.keys(headers), ...query.keys()].map((name) => name.toLowerCase());
  const header = names.find((name) => unsupportedHeaders.some((pattern) => pattern.test(name)));
  if (header) {
    throw s3Fault('NotImplemented', `A header you provided implies functionality that is not implemented: ${header}.`);
  }
  return operation;
}
