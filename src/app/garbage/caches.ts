// Caches that can be made again, where nothing will ask for them soon.
import { graceMs } from '../../contract/inventory.ts';
import type { AppContext } from '../context.ts';
import type { Survey } from './find-orphans.ts';
import { discardOne, type Planned } from './piece.ts';

export function collectableCaches(app: AppContext, { things, books }: Survey): Planned[] {
  return things.flatMap(({ kind, id, where, bytes, use, ageMs, account = '' }): Planned[] => {
    if (use !== undefined) return [];
    const piece = { policy: 'cache', id, where, bytes, collect: () => discardOne(app, id) } as const;
    if (kind === 'build-cache' && !books.accounts.has(account) && ageMs >= graceMs) {
      const why = `Account ${account} has no image any more.`;
      return [{ ...piece, why, cleaning: 'It is removed; the next build of the account begins without layers.' }];
    }
    if (kind === 'loaded-image') {
      const why = 'It is in memory, and no VM runs from it.';
      return [{ ...piece, why, cleaning: 'The memory is given back; the next launch or wake loads the image again.' }];
    }
    return [];
  });
}
