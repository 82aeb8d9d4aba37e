// `waterbear aws-model`: teaches AWS CLIs and boto3 that are too old to know the services.
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { services } from '../aws-model/services.ts';
import { writeModels } from '../aws-model/write-models.ts';
import { defineCommand } from '../command.ts';

const schema = z.object({ dir: z.string().min(1, 'must name a directory').optional() });

export const awsModel = defineCommand({
  name: 'aws-model',
  summary: 'teach an older AWS CLI, or boto3, the APIs of Lambda MicroVMs',
  details: `
Afterwards:  aws --endpoint-url http://127.0.0.1:9100 lambda-microvms list-microvms

Writes service-2.json and paginators-1.json of lambda-microvms and of lambda-core (network connectors) into ~/.aws/models,
where AWS CLI 2 and boto3 look for further services. Files that this command did not write are left alone; its own are
brought up to date. Tools look into another directory only when AWS_DATA_PATH names it. A tool that knows a service by itself
needs no model; it would use this one in place of its own.`,
  flags: [{ flags: '--dir <dir>', text: 'directory of models (default: ~/.aws/models)' }],
  schema,
  run: async ({ dir }, around) => {
    const directory =
      dir === undefined ? join(around.homeDirectory, '.aws', 'models') : resolve(around.workingDirectory, dir);
    for (const { path, isNew } of await writeModels(directory, services)) {
      around.out.write(`${isNew ? 'written' : 'up to date'}  ${path}\n`);
    }
    return 0;
  },
});
