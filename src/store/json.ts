// JSON kept in a text column: typed, so that nobody reads one kind of document as another.

declare const holds: unique symbol;

/** Text of a JSON document of type T. */
export type Json<T> = string & { readonly [holds]?: T };

export const toJson = <T>(value: T): Json<T> => JSON.stringify(value) as Json<T>;

export const fromJson = <T>(text: Json<T>): T => JSON.parse(text) as T;
