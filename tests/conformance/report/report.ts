// The conformance tables of docs/compatibility.md. `node tests/conformance/report/report.ts` writes them; a test compares.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { reasonFor } from './reasons.ts';
import { type ChoiceResult, runChoices } from './run-choices.ts';
import { type CoreResult, runCore } from './run-core.ts';
import { type ErrorResult, runErrors } from './run-errors.ts';
import { type OperationResult, runOperations } from './run-operations.ts';
import { runThrottles } from './run-throttles.ts';

const begin = '<!-- conformance: written by `npm run conformance` -->';
const end = '<!-- conformance: end -->';
export const page = join(import.meta.dirname, '../../../docs/compatibility.md');

export interface Results {
  operations: OperationResult[];
  core: CoreResult[];
  errors: ErrorResult[];
  choices: ChoiceResult[];
}

export async function collectResults(): Promise<Results> {
  const throttled = await runThrottles();
  return {
    operations: await runOperations(throttled),
    core: await runCore(throttled),
    errors: await runErrors(),
    choices: await runChoices(),
  };
}

const shortName = (name: string): string => name.replace(/Exception$/, '');

/** Errors of one reason together. */
function unprovoked({ operation, unseen }: OperationResult | CoreResult): string {
  const byReason = Map.groupBy(unseen, (name) => reasonFor(operation, name) ?? 'no reason is known');
  const parts = [...byReason].map(([reason, names]) => `${names.map(shortName).join(', ')}: ${reason}`);
  return parts.join('; ') || '–';
}

const operationTable = (results: readonly (OperationResult | CoreResult)[]): string =>
  table(
    ['Operation', 'Result', 'Its errors that were provoked', 'Not provoked, because'],
    results.map((result) => {
      const { operation, outcome, seen } = result;
      return [operation, outcome, seen.map(shortName).join(', ') || '–', unprovoked(result)];
    }),
  );

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

const working = (results: readonly (OperationResult | CoreResult)[]): string =>
  `${results.filter(({ outcome }) => outcome === 'works').length} of ${results.length} work`;

export function reportText({ operations, core, errors, choices }: Results): string {
  return [
    begin,
    `Every operation of \`lambda-microvms\`, called with the AWS SDK for JavaScript: ${working(operations)}.`,
    operationTable(operations),
    `Every operation of \`lambda-core\`, called with signed requests and with awscli: ${working(core)}.`,
    operationTable(core),
    'Errors of the door, which no operation names:',
    table(
      ['Provoked by', 'Answer'],
      errors.map(({ by, expected, got }) => [by, got === expected ? got : `${got} instead of ${expected}`]),
    ),
    'Where sources disagree, tried out:',
    table(
      ['Topic', 'Waterbear', 'Holds'],
      choices.map(({ topic, choice, holds }) => [topic, choice, holds]),
    ),
    end,
  ].join('\n\n');
}

/** The page with other tables. Throws when it has no place for them. */
export function withReport(text: string, report: string): string {
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${page} has no lines "${begin}" and "${end}".`);
  return text.slice(0, from) + report + text.slice(to + end.length);
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(page, withReport(readFileSync(page, 'utf8'), reportText(await collectResults())));
}
