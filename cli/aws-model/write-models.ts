// Models as files, where AWS's tools look for them. A file that someone else made is never replaced.
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeDurably } from '../../src/lib/durable-file.ts';
import { describe, Fault } from '../../src/lib/errors.ts';
import { generatedBy, paginators, type Service, serviceModel } from './service-model.ts';

export interface WrittenFile {
  path: string;
  /** False when it had this content already. */
  isNew: boolean;
}

/**
 * Writes the models of these services below `directory`; all of them or, when one belongs to someone else, none.
 * Rejects with `conflict` then, and with `internal` when a file cannot be read or written.
 */
export async function writeModels(directory: string, services: readonly Service[]): Promise<WrittenFile[]> {
  const files = services.flatMap((service) => filesOf(directory, service));
  const before = await Promise.all(files.map(({ path }) => readExisting(path)));
  files.forEach(({ path }, i) => {
    const text = before[i];
    if (text !== undefined && !isOurs(text)) {
      const what = `${path} exists and was not written by this command.`;
      throw new Fault('conflict', { what: `${what} Move it away, or name another directory with --dir.` });
    }
  });
  const written: WrittenFile[] = [];
  for (const [i, { path, text }] of files.entries()) {
    const isNew = before[i] !== text;
    if (isNew) await write(path, text);
    written.push({ path, isNew });
  }
  return written;
}

function filesOf(directory: string, service: Service): { path: string; text: string }[] {
  const at = (name: string): string => join(directory, service.name, service.version, name);
  return [
    { path: at('service-2.json'), text: textOf(serviceModel(service)) },
    { path: at('paginators-1.json'), text: textOf(paginators(service)) },
  ];
}

const textOf = (model: object): string => `${JSON.stringify(model, null, 2)}\n`;

async function readExisting(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unusable(path, 'read', error);
  }
}

function isOurs(text: string): boolean {
  try {
    const model: unknown = JSON.parse(text);
    return typeof model === 'object' && model !== null && 'generatedBy' in model && model.generatedBy === generatedBy;
  } catch {
    return false;
  }
}

async function write(path: string, text: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeDurably(path, text, { mode: 0o644 });
  } catch (error) {
    throw unusable(path, 'written', error);
  }
}

function unusable(path: string, done: 'read' | 'written', error: unknown): Fault {
  const what = `${path} cannot be ${done} (${describe(error)}). Name another directory with --dir.`;
  return new Fault('internal', { what }, error);
}
