// What goes wrong in the server while a call is made: its store, its host.
import type { ControlPlaneRig } from '../../fake/control-plane-rig.ts';

/** While nothing can be read from the store, nor written. */
export async function withBrokenStore<T>(rig: ControlPlaneRig, work: () => Promise<T>): Promise<T> {
  const { context } = rig.t.app;
  const { db, index } = context;
  const broken = (): never => {
    throw new Error('broken on purpose');
  };
  const all = { selectFrom: broken, transaction: broken, insertInto: broken, updateTable: broken, deleteFrom: broken };
  Object.assign(context, { db: all, index: { get: broken, all: broken, byHost: broken } });
  try {
    return await work();
  } finally {
    Object.assign(context, { db, index });
  }
}

/** While the server is on its way down. */
export async function whileStopping<T>(rig: ControlPlaneRig, work: () => Promise<T>): Promise<T> {
  rig.t.app.context.draining = true;
  try {
    return await work();
  } finally {
    rig.t.app.context.draining = false;
  }
}
