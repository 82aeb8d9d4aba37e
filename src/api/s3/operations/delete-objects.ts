// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
import { z } from 'zod';
import { checkAction } from '../access.ts';
import { readText } from '../body.ts';
import type { Operation, S3Call } from '../call.ts';
import { s3Fault, toS3Error } from '../error-table.ts';
import { malformedXml, readXml, xmlList, xmlText } from '../xml-read.ts';
import { type XmlElement, xmlDocument } from '../xml-write.ts';

const maxObjects = 1000;
const body = z.object({
  Delete: z.object({
    Object: xmlList(z.object({ Key: xmlText, VersionId: xmlText.optional() })),
    Quiet: xmlText.optional(),
  }),
});

export const deleteObjects: Operation = {
  async run(call) {
    const { Object: objects, Quiet: quiet } = readXml(await readText(call), body).Delete;
    if (objects.length > maxObjects) throw malformedXml();
    if (objects.some(({ VersionId: version }) => version !== undefined && version !== 'null')) {
      throw s3Fault('NotImplemented', 'Object versions are not implemented.');
    }
    const results: XmlElement[] = [];
    for (const { Key: key } of objects) {
      const failure = await remove(call, key);
      if (failure) results.push(['Error', [['Key', key], ...failure]]);
      else if (quiet?.trim() !== 'true') results.push(['Deleted', [['Key', key]]]);
    }
    return { status: 200, xml: xmlDocument('DeleteResult', results) };
  },
};

/** Why the object could not be removed; undefined when it is gone. */
async function remove(call: S3Call, key: string): Promise<XmlElement[] | undefined> {
  try {
    await checkAction(call, 's3:DeleteObject', key);
    await call.deps.store.delete(call.target.bucket, key);
    return undefined;
  } catch (error) {
    const { code, message } = toS3Error(error);
    return [
      ['Code', code],
      ['Message', message],
    ];
  }
}
