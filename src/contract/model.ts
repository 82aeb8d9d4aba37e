// The form of the generated operation table (generated/operations.ts): what each operation looks like on the wire.

export type Shape =
  | 'string'
  | 'number'
  | 'boolean'
  | 'timestamp'
  | 'isoTimestamp'
  | 'unit'
  | { readonly list: Shape }
  | { readonly map: Shape }
  | { readonly ref: string };

export interface Member {
  readonly shape: Shape;
  readonly required?: true;
  /** Where it travels; in the JSON body when absent. */
  readonly in?: 'label' | 'query' | 'header';
  /** Name of the query parameter or header, where that differs in kind from a body member. */
  readonly wireName?: string;
}

export interface Structure {
  readonly kind: 'structure' | 'union';
  readonly members: Readonly<Record<string, Member>>;
}

export interface Operation {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path with `{label}` segments. */
  readonly path: string;
  /** HTTP status of success. */
  readonly status: number;
  /** Names of structures; absent where there is nothing to read or write. */
  readonly input?: string;
  readonly output?: string;
}

export interface ErrorShape {
  readonly status: number;
  /** Members of the body beside the type. */
  readonly members: readonly string[];
}
