// The form of one choice, and what trying one out needs.

/** One topic on which sources disagree. `S` is what it is tried on. */
export interface Choice<S = void> {
  /** Its number among the contradictions of the reference. */
  row: number;
  topic: string;
  /** What this service does. */
  choice: string;
  check(subject: S): Promise<boolean>;
}

/** Whether a call fails with these words. */
export const refused = (call: Promise<unknown>, what: string): Promise<boolean> =>
  call.then(
    () => false,
    (error: unknown) => String(error).includes(what),
  );
