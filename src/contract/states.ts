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

export type ImageVersionState =
  | 'PENDING'
  | 'IN_PROGRESS'
  | 'SUCCESSFUL'
  | 'FAILED'
  | 'DELETING'
  | 'DELETED'
  | 'DELETE_FAILED';

export type ImageVersionStatus = 'ACTIVE' | 'INACTIVE';

export type BuildState = 'PENDING' | 'IN_PROGRESS' | 'SUCCESSFUL' | 'FAILED';

/** What is being paid for: compute while RUNNING, storage while SUSPENDED. */
export type UsageKind = 'running' | 'suspended';
