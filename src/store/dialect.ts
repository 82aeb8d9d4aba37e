// SQLite through Kysely, on a disk that may be full or fail: what it answers then is a Fault, and no transaction is left open.
import type SqliteDatabase from 'better-sqlite3';
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  type QueryResult,
  SqliteDialect,
  SqliteDriver,
} from 'kysely';
import { diskFault } from '../lib/disk-faults.ts';

export class DurableDialect extends SqliteDialect {
  readonly #database: SqliteDatabase.Database;

  constructor(database: SqliteDatabase.Database) {
    super({ database });
    this.#database = database;
  }

  override createDriver(): Driver {
    return new FaultDriver(this.#database);
  }
}

class FaultDriver extends SqliteDriver {
  readonly #database: SqliteDatabase.Database;

  constructor(database: SqliteDatabase.Database) {
    super({ database });
    this.#database = database;
  }

  override async acquireConnection(): Promise<DatabaseConnection> {
    return new FaultConnection(await super.acquireConnection(), this.#database);
  }
}

class FaultConnection implements DatabaseConnection {
  readonly #inner: DatabaseConnection;
  readonly #database: SqliteDatabase.Database;

  constructor(inner: DatabaseConnection, database: SqliteDatabase.Database) {
    this.#inner = inner;
    this.#database = database;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    // On some errors SQLite rolls back by itself; a second time would be an error that hides the first.
    if (query.sql === 'rollback' && !this.#database.inTransaction) return { rows: [] };
    try {
      return await this.#inner.executeQuery<R>(query);
    } catch (error) {
      throw diskFault(error, this.#database.name);
    }
  }

  streamQuery<R>(query: CompiledQuery, chunkSize: number): AsyncIterableIterator<QueryResult<R>> {
    return this.#inner.streamQuery<R>(query, chunkSize);
  }
}
