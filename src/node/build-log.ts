// The log of an image build: kept in a file with a limit, handed on live. Strangers write most of it.
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { appendText, makeDirectory } from '../lib/durable-file.ts';
import { printable } from '../lib/printable.ts';

const maxLogBytes = 4 << 20;

export interface BuildLog {
  write(text: string): void;
  /** Resolves when everything is in the file. */
  flush(): Promise<void>;
}

export async function openBuildLog(path: string, onText: (text: string) => void): Promise<BuildLog> {
  await makeDirectory(dirname(path));
  let written = 0;
  let last: Promise<void> = Promise.resolve();
  return {
    write(said) {
      const text = printable(said);
      onText(text);
      if (written > maxLogBytes) return;
      written += text.length;
      const line = written > maxLogBytes ? '\n--- the log is longer than its limit; the rest is left out\n' : text;
      last = last.then(() => appendText(path, line)).catch(() => {});
    },
    flush: () => last,
  };
}

/** Empty when there is none. */
export const readBuildLog = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
