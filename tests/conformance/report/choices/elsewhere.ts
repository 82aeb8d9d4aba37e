// Choices that are not tried out for the tables: other tests show them, those of real VMs among them, and some have no object here.

interface Shown {
  row: number;
  topic: string;
  choice: string;
  /** The tests that show it. */
  by: readonly { file: string; test: string }[];
}

const awscli = { file: 'tests/real/awscli.test.ts', test: 'launch, look, token, suspend, resume, terminate' };

export const shownByTests: readonly Shown[] = [
  {
    row: 17,
    topic: 'Where the hooks listen: on all addresses, or on loopback',
    choice: 'either: they are called on 127.0.0.1, from inside',
    by: [
      { file: 'tests/real/demo.test.ts', test: 'the demo passes and says so in one line of JSON' },
      { file: 'tests/real/hostile/hooks.test.ts', test: 'a redirect to a service of the host is not followed' },
    ],
  },
  {
    row: 21,
    topic: 'Bandwidth: 1 MB/s for a processor, or for 0.5 GB',
    choice: 'for 0.5 GB of baseline, in profile `aws`',
    by: [
      { file: 'src/config/quotas.test.ts', test: 'the documented limits of endpoints by size' },
      { file: 'tests/fake/gateway-limits.test.ts', test: 'a download, an upload, and both at once go at the rate' },
    ],
  },
  {
    row: 31,
    topic: 'Path of the shell: `/shell` or `/`',
    choice: 'both',
    by: [{ file: 'tests/fake/gateway-shell.test.ts', test: '%s: session, bytes both ways, resize, end' }],
  },
  {
    row: 32,
    topic: 'Enter in the shell: CR or LF',
    choice: 'either, as on any terminal',
    by: [{ file: 'tests/real/shell.test.ts', test: 'a terminal: prompt, size, keys, job control, exit code' }],
  },
  {
    row: 35,
    topic: 'TLS to the application',
    choice: 'is found out by itself; certificates are not checked',
    by: [
      {
        file: 'tests/fake/gateway-upstream.test.ts',
        test: 'a TLS server that answers plain requests with 400 is found out, an application that says 400 is not asked twice',
      },
      { file: 'tests/fake/gateway-upstream.test.ts', test: 'a WebSocket to an application behind TLS' },
    ],
  },
  {
    row: 37,
    topic: 'Capabilities without `ALL`: with `sys_admin` or without',
    choice: 'the 14 of a container, without `sys_admin`',
    by: [
      {
        file: 'tests/real/privileges.test.ts',
        test: 'root has exactly the 14 capabilities, and nothing it starts can have more',
      },
    ],
  },
  {
    row: 41,
    topic: '`EXPOSE` for a port that is to be reached: needed or not',
    choice: 'not needed',
    by: [awscli],
  },
  {
    row: 42,
    topic: 'Monotonic clock after a resume: jumps, or goes on from where it stopped',
    choice: 'goes on from where it stopped',
    by: [awscli],
  },
];

interface Absent {
  row: number;
  topic: string;
  why: string;
}

export const absent: readonly Absent[] = [
  { row: 3, topic: 'Name of the log group', why: 'there is no CloudWatch here' },
  { row: 4, topic: 'Name of the log stream', why: 'there is no CloudWatch here' },
];

/** Trust pages, prices, a slip of the pen: nothing that a server does. */
export const noMatterOfServers: readonly number[] = [33, 34, 40, 45];
