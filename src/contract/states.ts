// Legal state changes, one table per entity, used by API, reconcilers and console alike. Reference b.3, b.4, e.2.

export type MicrovmState = 'PENDING' | 'RUNNING' | 'SUSPENDING' | 'SUSPENDED' | 'TERMINATING' | 'TERMINATED';

/** What each MicroVM state may become. SUSPENDED → PENDING is the brief state of an explicit resume. */
export const microvmTransitions: Record<MicrovmState, readonly MicrovmState[]> = {
  PENDING: ['RUNNING', 'SUSPENDED', 'TERMINATING', 'TERMINATED'],
  RUNNING: ['SUSPENDING', 'TERMINATING', 'TERMINATED'],
  SUSPENDING: ['SUSPENDED', 'RUNNING', 'TERMINATING', 'TERMINATED'],
  SUSPENDED: ['PENDING', 'RUNNING', 'TERMINATING', 'TERMINATED'],
  TERMINATING: ['TERMINATED'],
  TERMINATED: [],
};

export type ImageState =
  | 'CREATING'
  | 'CREATED'
  | 'CREATE_FAILED'
  | 'UPDATING'
  | 'UPDATED'
  | 'UPDATE_FAILED'
  | 'DELETING'
  | 'DELETE_FAILED'
  | 'DELETED';

/**
 * What each image state may become. UPDATING ends as UPDATED or UPDATE_FAILED after an update, and in the state of before
 * after the deletion of one version.
 */
export const imageTransitions: Record<ImageState, readonly ImageState[]> = {
  CREATING: ['CREATED', 'CREATE_FAILED'],
  CREATED: ['UPDATING', 'DELETING'],
  CREATE_FAILED: ['UPDATING', 'DELETING'],
  UPDATING: ['UPDATED', 'UPDATE_FAILED', 'CREATED', 'CREATE_FAILED'],
  UPDATED: ['UPDATING', 'DELETING'],
  UPDATE_FAILED: ['UPDATING', 'DELETING'],
  DELETING: ['DELETED', 'DELETE_FAILED'],
  DELETE_FAILED: ['DELETING'],
  DELETED: [],
};

export type ImageVersionState =
  | 'PENDING'
  | 'IN_PROGRESS'
  | 'SUCCESSFUL'
  | 'FAILED'
  | 'DELETING'
  | 'DELETED'
  | 'DELETE_FAILED';

/** IN_PROGRESS again: built anew after a restart. */
export const imageVersionTransitions: Record<ImageVersionState, readonly ImageVersionState[]> = {
  PENDING: ['IN_PROGRESS', 'FAILED'],
  IN_PROGRESS: ['IN_PROGRESS', 'SUCCESSFUL', 'FAILED'],
  SUCCESSFUL: ['DELETING'],
  FAILED: ['DELETING'],
  DELETING: ['DELETED', 'DELETE_FAILED'],
  DELETE_FAILED: ['DELETING'],
  DELETED: [],
};

/** Only a SUCCESSFUL version is ever ACTIVE. */
export type ImageVersionStatus = 'ACTIVE' | 'INACTIVE';

export type BuildState = 'PENDING' | 'IN_PROGRESS' | 'SUCCESSFUL' | 'FAILED';

export const buildTransitions: Record<BuildState, readonly BuildState[]> = {
  PENDING: ['IN_PROGRESS', 'FAILED'],
  IN_PROGRESS: ['IN_PROGRESS', 'SUCCESSFUL', 'FAILED'],
  SUCCESSFUL: [],
  FAILED: [],
};

export type ConnectorState = 'PENDING' | 'ACTIVE' | 'INACTIVE' | 'FAILED' | 'DELETING' | 'DELETE_FAILED';

/** Reference h.2. What is deleted has no state: it is gone. */
export const connectorTransitions: Record<ConnectorState, readonly ConnectorState[]> = {
  PENDING: ['ACTIVE', 'FAILED'],
  ACTIVE: ['INACTIVE', 'DELETING'],
  INACTIVE: ['ACTIVE', 'DELETING'],
  FAILED: ['DELETING'],
  DELETING: ['DELETE_FAILED'],
  DELETE_FAILED: ['DELETING'],
};

/** How the last update of a connector ended. */
export type ConnectorUpdateStatus = 'Successful' | 'Failed' | 'InProgress';

/** States from which `to` may be entered. */
export const sourcesOf = <S extends string>(transitions: Record<S, readonly S[]>, to: S): S[] =>
  (Object.keys(transitions) as S[]).filter((from) => transitions[from].includes(to));

/** What is being paid for: compute while RUNNING, storage while SUSPENDED. */
export type UsageKind = 'running' | 'suspended';
