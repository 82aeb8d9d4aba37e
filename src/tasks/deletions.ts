// Takes up deletions of images and versions: those of before a restart, and those that waited for MicroVMs to end.
import type { AppContext } from '../app/context.ts';
import type { Task } from './task.ts';

export const deletions = (app: AppContext): Task => ({
  name: 'deletions',
  async run() {
    if (!app.deletions.unfinished) return 0;
    void app.deletions.wake();
    return 1;
  },
});
