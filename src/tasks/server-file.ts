// Writes `server.json`, by which the commands of this machine find the server, until it is there. That it cannot be written ends no start: the file holds nothing that
// is not in the database or the settings, and nobody needs it to reach a MicroVM. A server that refused to start would take the MicroVMs from their users for the
// sake of commands; where a failing disk does touch what is kept, the act that needs it says so.
import type { Clock } from '../lib/clock.ts';
import { writeDurably } from '../lib/durable-file.ts';
import { describe } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Task } from './task.ts';

const retryMs = 5000;

export interface ServerFileOrder {
  path: string;
  content: string;
  clock: Clock;
  log: Log;
}

/** Never rejects: the log says once that the file could not be written, and once that it is there after all. Until then what an earlier server wrote stands. */
export function serverFile({ path, content, clock, log }: ServerFileOrder): Task {
  let written = false;
  let failedAtMs: number | undefined;
  return {
    name: 'server-file',
    async run() {
      if (written || (failedAtMs !== undefined && clock.elapsed() - failedAtMs < retryMs)) return 0;
      try {
        await writeDurably(path, content);
        written = true;
        if (failedAtMs !== undefined) log.warn('server_file_written', { file: path });
        return 1;
      } catch (error) {
        if (failedAtMs === undefined) log.error('no_server_file', { file: path, why: describe(error), next });
        failedAtMs = clock.elapsed();
        return 0;
      }
    },
  };
}

const next =
  'MicroVMs and the API are served. Commands such as "waterbear env" do not find this server until the file is written, which is tried again every few seconds.';
