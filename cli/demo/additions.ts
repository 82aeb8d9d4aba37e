// What only Waterbear tells: stages by the millisecond and build logs. Against any other service all of these resolve with undefined.
import { z } from 'zod';
import { getSigned } from '../server-api.ts';
import type { Target } from './target.ts';

const times = z.record(z.string().max(64), z.number());
const microvmFacts = z.object({
  launch: times.nullish(),
  wake: times.nullish(),
  suspend: times.nullish(),
  asleepBytes: z.number().nullish(),
  repaired: z.array(z.string().max(64)).nullish(),
  accelerator: z.string().max(64).nullish(),
});
export type MicrovmFacts = z.output<typeof microvmFacts>;

export async function microvmAdditions(target: Target, microvmId: string): Promise<MicrovmFacts | undefined> {
  return parsed(await get(target, `/waterbear/v1/microvms/${microvmId}`), microvmFacts);
}

const serverInfo = z.object({ accelerator: z.string().max(64).nullish(), driver: z.string().max(64).nullish() });

export async function serverAdditions(target: Target): Promise<z.output<typeof serverInfo> | undefined> {
  return parsed(await get(target, '/waterbear/v1/info'), serverInfo);
}

export const buildLog = (target: Target, buildId: string): Promise<string | undefined> =>
  get(target, `/waterbear/v1/builds/${buildId}/log`);

async function get(target: Target, path: string): Promise<string | undefined> {
  if (target.additions === undefined) return undefined;
  const { apiUrl, signer } = target.additions;
  const answer = await getSigned(apiUrl, path, signer, Date.now()).catch(() => undefined);
  return answer?.status === 200 ? answer.body : undefined;
}

function parsed<T>(text: string | undefined, schema: z.ZodType<T>): T | undefined {
  if (text === undefined) return undefined;
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
