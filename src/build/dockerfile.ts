// Looks at a Dockerfile before the engine does: names what the engine does not know, finds the images it builds on, and writes
// every such name out in full (aliases applied), so that the engine uses exactly what was checked here.
import { Fault } from '../lib/errors.ts';
import { heredocs, type Instruction, parseDockerfile, words } from './dockerfile-syntax.ts';
import { fullImageName } from './image-name.ts';

export const maxDockerfileBytes = 1 << 20;

/** An image of the Dockerfile that is not one of its own stages. */
export interface ImageUse {
  /** In full. */
  name: string;
  line: number;
}

export interface CheckedDockerfile {
  /** What the engine gets; the same lines, image names in full. */
  text: string;
  /** Each name once, where it is used first. */
  images: ImageUse[];
}

/** Names as written in Dockerfiles, or in full → the image to use instead. */
export type ImageAliases = Readonly<Record<string, string>>;

const fail = (line: number, what: string): Fault =>
  new Fault('build_failed', { reason: 'CONTAINER_BUILD_FAILED', what: `Dockerfile line ${line}: ${what}`, line });

/** Throws `build_failed` with the line for what cannot be built here. `text` is the Dockerfile, at most `maxDockerfileBytes`. */
export function checkDockerfile(text: string, aliases: ImageAliases = {}): CheckedDockerfile {
  const instructions = parseDockerfile(text);
  refuseHeredocs(instructions);
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  const images = new Map<string, ImageUse>();
  const stages = new Set<string>();
  const globals = new Map<string, string>(builtInArguments);
  let stageCount = 0;
  const resolve = (name: string, line: number): string => {
    const full = fullImageName(name, `Dockerfile line ${line}`);
    const used = aliases[name] ?? aliases[full] ?? full;
    if (!images.has(used)) images.set(used, { name: used, line });
    return used;
  };
  for (const found of instructions) {
    if (found.keyword === 'ARG' && stageCount === 0) addArguments(found, globals);
    if (found.keyword === 'FROM') {
      const from = parseFrom(found, globals);
      const known = from.image === 'scratch' || stages.has(from.image.toLowerCase());
      const image = known ? from.image : resolve(from.image, found.firstLine);
      replace(lines, found, ['FROM', ...from.flags, image, ...(from.stage ? ['AS', from.stage] : [])].join(' '));
      stageCount += 1;
      if (from.stage) stages.add(from.stage.toLowerCase());
    }
    if (['COPY', 'ADD', 'RUN'].includes(found.keyword)) {
      const isStage = (name: string): boolean =>
        stages.has(name.toLowerCase()) || (/^\d+$/.test(name) && Number(name) < stageCount);
      const rest = rewriteSources(found, (name) => (isStage(name) ? name : resolve(name, found.firstLine)));
      if (rest !== found.rest) replace(lines, found, `${found.keyword} ${rest}`);
    }
  }
  if (stageCount === 0) throw fail(1, 'there is no FROM instruction.');
  return { text: lines.join('\n'), images: [...images.values()] };
}

function refuseHeredocs(instructions: readonly Instruction[]): void {
  for (const found of instructions) {
    const [first] = heredocs(found);
    if (first)
      throw fail(
        first.line,
        `the heredoc <<${first.name} in ${found.keyword} is not known to this builder (buildah before 1.33). ` +
          'Put the text into a file of the zip and COPY it, or join the commands with && and line continuations.',
      );
  }
}

// Of the machine this runs on: builds are always for the host's own architecture.
const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
const builtInArguments: [string, string][] = ['TARGET', 'BUILD'].flatMap((side) => [
  [`${side}PLATFORM`, `linux/${architecture}`],
  [`${side}OS`, 'linux'],
  [`${side}ARCH`, architecture],
]);

// Values may double with every line, and what is looked for in them takes longer than they do: no honest one is this long.
const maxValueCharacters = 4096;

function bounded(text: string, line: number): string {
  if (text.length > maxValueCharacters)
    throw fail(line, `a value of ARG or FROM is longer than ${maxValueCharacters} characters.`);
  return text;
}

function addArguments(found: Instruction, globals: Map<string, string>): void {
  for (const word of words(found.rest)) {
    const [, name, value] = /^(\w+)(?:=(.*))?$/s.exec(word) ?? [];
    if (!name || value === undefined) continue;
    globals.set(name, bounded(substitute(bounded(unquote(value), found.firstLine), globals), found.firstLine));
  }
}

const unquote = (word: string): string => word.replace(/^(["'])(.*)\1$/s, '$2');

/** `$X`, `${X}`, `${X:-default}`, `${X:+other}`. */
function substitute(text: string, values: ReadonlyMap<string, string>): string {
  return text.replace(
    /\$(?:(\w+)|\{(\w+)(?::([-+])([^}]*))?\})/g,
    (_, bare?: string, name?: string, sign?: string, other = '') => {
      const value = values.get(bare ?? name ?? '') ?? '';
      if (sign === '+') return value === '' ? '' : other;
      return value === '' && sign === '-' ? other : value;
    },
  );
}

function parseFrom(found: Instruction, globals: ReadonlyMap<string, string>) {
  const all = words(bounded(found.rest, found.firstLine));
  const flags = all.filter((word) => word.startsWith('--')).map((flag) => substitute(flag, globals));
  const [image, as, stage, ...more] = all.filter((word) => !word.startsWith('--'));
  if (!image || more.length > 0 || (as && (as.toUpperCase() !== 'AS' || !stage)))
    throw fail(found.firstLine, 'FROM takes an image and, after AS, a name for the stage.');
  if (stage && !/^[A-Za-z][\w.-]*$/.test(stage))
    throw fail(found.firstLine, `${JSON.stringify(stage.slice(0, 100))} cannot be the name of a stage.`);
  const name = substitute(unquote(image), globals);
  if (name === '')
    throw fail(found.firstLine, `${image} is empty. Give its ARG, before the first FROM, a default value.`);
  return { flags, image: name, stage };
}

/** The instruction's text with the image in `--from=` and in `--mount=…from=` replaced by what `resolve` says. */
function rewriteSources(found: Instruction, resolve: (name: string) => string): string {
  const end = /^(?:\s*--\S+)*/.exec(found.rest)?.[0].length ?? 0;
  const flags = found.rest
    .slice(0, end)
    .replace(/--from=(\S+)|--mount=(\S+)/g, (flag, from?: string, mount?: string) => {
      if (from !== undefined && found.keyword !== 'RUN') return `--from=${resolve(unquote(from))}`;
      if (mount === undefined || found.keyword !== 'RUN') return flag;
      const parts = unquote(mount)
        .split(',')
        .map((part) => (/^from=/.test(part) ? `from=${resolve(part.slice(5))}` : part));
      return `--mount=${parts.join(',')}`;
    });
  return flags + found.rest.slice(end);
}

/** Puts `text` in place of the instruction and keeps the numbers of all other lines. */
function replace(lines: string[], found: Instruction, text: string): void {
  lines[found.firstLine - 1] = text;
  lines.fill('', found.firstLine, found.lastLine);
}
