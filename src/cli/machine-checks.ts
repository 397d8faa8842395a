/**
 * Machine checks: what the doctor looks at on any machine, whether or not it is in a cluster: the program, what it
 * loads, the clock and the network.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces, release } from 'node:os';
import type { StatusReport } from '../daemon/service.js';
import { posixFault } from '../platform/posix.js';
import { type Check, failed, ok, warning } from './check.js';
import { timeText } from './text.js';
import { LISTEN_PORT } from './up.js';
import { packageNodeRange, packageVersion } from './version.js';

// ── Program ──

export interface ProgramFacts {
  readonly version: string;
  /** As in `process.versions.node`. */
  readonly node: string;
  /** What package.json asks for: `>=20.19`. */
  readonly nodeWanted: string;
  readonly platform: NodeJS.Platform;
  readonly arch: string;
  readonly release: string;
}

/** The processors of 64 bits that there are prebuilt libraries for. */
const ARCHS: readonly string[] = ['x64', 'arm64'];
const PLATFORMS: readonly string[] = ['linux', 'darwin', 'freebsd'];

export function decideProgram({ version, node, nodeWanted, platform, arch, release }: ProgramFacts): Check {
  const what = `scatterhoard ${version}, Node.js ${node}, ${platform} ${release} on ${arch}`;
  if (!isAtLeast(node, nodeWanted))
    return failed('program', `${what}: it needs Node.js ${nodeWanted}. Install a later one, then 'npm ci' once more`);
  if (!PLATFORMS.includes(platform) || !ARCHS.includes(arch))
    return warning('program', `${what}: it is made for Linux, macOS and FreeBSD on 64 bits, and may not work here`);
  return ok('program', what);
}

/** @param wanted `>=20.19`, the only form that package.json uses */
function isAtLeast(version: string, wanted: string): boolean {
  const numbers = (text: string): number[] => text.replace(/^\D+/, '').split('.').map(Number);
  const [has, wants] = [numbers(version), numbers(wanted)];
  const at = wants.findIndex((number, index) => number !== (has[index] ?? 0));
  return at < 0 || (has[at] ?? 0) > (wants[at] ?? 0);
}

// ── Hasher ──

export interface HasherFacts {
  /** What this command would hash with. */
  readonly here: 'native' | 'wasm';
  /** What the service that runs hashes with. */
  readonly ofService: 'native' | 'wasm' | undefined;
  /** CLUSTER_HASHER=wasm in this command's environment. */
  readonly wasmAsked: boolean;
}

export function decideHasher({ here, ofService, wasmAsked }: HasherFacts): Check {
  const inUse = ofService ?? here;
  const whose = ofService === undefined ? 'BLAKE3' : 'the service hashes, BLAKE3';
  if (inUse === 'native') return ok('hasher', `${whose} by the native library`);
  const slow = `${whose} in WebAssembly, which gives the same hashes and takes four to eight times as long`;
  if (here === 'native')
    return warning(
      'hasher',
      `${slow}. The native library loads here: take CLUSTER_HASHER=wasm out of the service's environment, if it is there, and start the service anew`,
    );
  if (wasmAsked) return warning('hasher', `${slow}, because CLUSTER_HASHER=wasm is in the environment`);
  return warning(
    'hasher',
    `${slow}. The native library (@napi-rs/blake-hash) does not load here: 'npm ci', without --omit=optional, installs it where there is one for this system`,
  );
}

// ── System calls ──

/** @param fault why koffi did not load; undefined when it did */
export function decideSystemCalls(fault: string | undefined): Check {
  if (fault === undefined) return ok('system-calls', 'those that Node.js lacks can be made');
  return warning(
    'system-calls',
    `those that Node.js lacks cannot be made (${fault}): no extended attributes are kept, times are restored to the microsecond, and each file costs a flush. Install the packages again ('npm ci') on this machine`,
  );
}

// ── Open files ──

export interface OpenFilesFacts {
  /** How many a process may have open. */
  readonly max: number;
  /** How many the service has open. Undefined: it does not run, or this user may not see that. */
  readonly used: number | undefined;
}

/**
 * A service that is alone has some 50 open (measured). A connection to each of a thousand hosts, 64 folders in each of
 * two scanning threads and four calls to each of 64 stores' disks come to 1,500.
 */
export const OPEN_FILES_WANTED = 4_096;
/** Above this share of the limit it may be reached at any moment. */
const OPEN_FILES_FULL = 0.8;

export function decideOpenFiles({ max, used }: OpenFilesFacts): Check {
  const remedy =
    "raise it: LimitNOFILE=65536 in the service's unit, or 'ulimit -n 65536' before 'cluster up', then start the service anew";
  if (used !== undefined && used > max * OPEN_FILES_FULL)
    return failed('open-files', `the service has ${used} files open, of ${max} that it may have: ${remedy}`);
  const what =
    used === undefined
      ? `what is started from here may have ${max} files open`
      : `the service has ${used} files open, and may have ${max}`;
  if (max < OPEN_FILES_WANTED) return warning('open-files', `${what}, which is too few for a large cluster: ${remedy}`);
  return ok('open-files', what);
}

// ── Clock ──

export interface ClockFacts {
  readonly nowMs: number;
  /** When this program was built. Undefined: that cannot be told. */
  readonly builtMs: number | undefined;
  /** The latest time that an admin has signed. */
  readonly signedMs: number | undefined;
  /** The newest snapshot of each source of this host. */
  readonly snapshots: readonly { readonly source: string; readonly timeMs: number }[];
}

/** As for the service, which unlists nothing while a clock is off by more than this. */
const CLOCK_OFF_MS_MAX = 3_600_000;

export function decideClock({ nowMs, builtMs, signedMs, snapshots }: ClockFacts): Check {
  const now = `this clock says ${timeText(nowMs)}`;
  if (builtMs !== undefined && builtMs - nowMs > CLOCK_OFF_MS_MAX)
    return failed('clock', `${now}, and this program was built at ${timeText(builtMs)}: set the clock, and run NTP`);
  const [newest] = snapshots.toSorted((a, b) => b.timeMs - a.timeMs);
  if (newest !== undefined && newest.timeMs - nowMs > CLOCK_OFF_MS_MAX)
    return failed(
      'clock',
      `${now}, and the newest snapshot of ${newest.source} is of ${timeText(newest.timeMs)}: it is behind now, and then set it, or it was ahead then, and then 'cluster forget ${newest.source} --future' unlists those. Run NTP`,
    );
  if (signedMs !== undefined && signedMs - nowMs > CLOCK_OFF_MS_MAX)
    return warning(
      'clock',
      `${now}, and the configuration was signed at ${timeText(signedMs)}: this clock is behind, or that of the host with the admin key was ahead. Run NTP on both`,
    );
  return ok('clock', now);
}

// ── Network ──

export interface NetworkFacts {
  /** Of all interfaces that are up, except those that lead to this machine itself. */
  readonly addresses: readonly { readonly address: string; readonly on: string }[];
  /** Interfaces by which a multicast can go out. Undefined: this system does not say. */
  readonly multicast: readonly string[] | undefined;
}

/** How many addresses are named: a machine with containers has dozens. */
const ADDRESSES_TOLD = 3;

export function decideNetwork({ addresses, multicast }: NetworkFacts): Check {
  if (addresses.length === 0)
    return warning(
      'network',
      'this machine has no address but its own (loopback): no other host can reach it, or be reached. Look at its cable, its Wi-Fi or its DHCP',
    );
  const named = addresses.slice(0, ADDRESSES_TOLD).map(({ address, on }) => `${address} (${on})`);
  const more = addresses.length > ADDRESSES_TOLD ? [`${addresses.length - ADDRESSES_TOLD} more`] : [];
  const what = `this machine is at ${[...named, ...more].join(', ')}`;
  if (multicast !== undefined && !addresses.some(({ on }) => multicast.includes(on)))
    return warning(
      'network',
      `${what}; none of these sends multicasts, so mDNS finds nobody. Write the members' \`addresses\` into the policy, or start the service with --peer`,
    );
  return ok('network', what);
}

export interface PortFacts {
  /** Where the service listens; undefined when none answers. */
  readonly listening: readonly string[] | undefined;
  /** Somebody answers on the port that `cluster up` listens on by default. */
  readonly isTaken: boolean;
  /** It may be the service of this host: one runs, or this user cannot tell. */
  readonly mayBeService: boolean;
}

export function decidePort({ listening, isTaken, mayBeService }: PortFacts): Check {
  if (listening !== undefined) {
    // Each ends with this host's own name, which is longer than a line.
    const shown = listening.map(address => address.replace(/\/p2p\/[^/]*$/, ''));
    if (shown.length > 0) return ok('port', `the service listens on ${shown.join(', ')}`);
    return failed('port', 'the service listens nowhere: look at its log, and at the --listen of its unit');
  }
  if (isTaken && mayBeService)
    return ok('port', `TCP port ${LISTEN_PORT} is in use, and as far as can be told by the service of this host`);
  if (isTaken)
    return warning(
      'port',
      `another program listens on TCP port ${LISTEN_PORT}, where 'cluster up' listens by default: end that program, or give --listen`,
    );
  return ok('port', `TCP port ${LISTEN_PORT} is free`);
}

// ── Gathering ──

/** What is known of the cluster here; nothing of it where there is none. */
export interface KnownHere {
  readonly status: StatusReport | undefined;
  /** The service's process. */
  readonly pid: number | undefined;
  /** It runs, whether it answers or not, or this user cannot tell. */
  readonly mayRun: boolean;
  readonly signedMs: number | undefined;
  readonly snapshots: ClockFacts['snapshots'];
}

/** Where nothing is known of a cluster. */
export const NOTHING_KNOWN: KnownHere = {
  status: undefined,
  pid: undefined,
  mayRun: false,
  signedMs: undefined,
  snapshots: [],
};

export async function checkMachine({ status, pid, mayRun, signedMs, snapshots }: KnownHere): Promise<readonly Check[]> {
  // Loaded here and not with this file, because it takes long.
  const { hasherName } = await import('../core/hash.js');
  const openFiles = process.platform === 'linux' ? lookAtOpenFiles(pid) : undefined;
  return [
    decideProgram({
      version: packageVersion(),
      node: process.versions.node,
      nodeWanted: packageNodeRange(),
      platform: process.platform,
      arch: process.arch,
      release: release(),
    }),
    decideHasher({
      here: hasherName,
      ofService: status?.process.hasher,
      wasmAsked: process.env.CLUSTER_HASHER === 'wasm',
    }),
    decideSystemCalls(posixFault()),
    ...(openFiles === undefined ? [] : [decideOpenFiles(openFiles)]),
    decideClock({ nowMs: Date.now(), builtMs: builtMs(), signedMs, snapshots }),
    decideNetwork(lookAtNetwork()),
    decidePort({
      listening: status?.addresses,
      isTaken: status === undefined && (await isPortTaken()),
      mayBeService: mayRun,
    }),
  ];
}

/** Of the service, if this user may see that; else of this command, which Node.js has given all that it may get. */
function lookAtOpenFiles(pid: number | undefined): OpenFilesFacts | undefined {
  const ofService = pid === undefined ? undefined : openFilesMax(`/proc/${pid}/limits`);
  const used = pid === undefined ? undefined : openFilesOf(pid)?.length;
  if (ofService !== undefined && used !== undefined) return { max: ofService, used };
  const max = openFilesMax('/proc/self/limits');
  return max === undefined ? undefined : { max, used: undefined };
}

function openFilesMax(path: string): number | undefined {
  try {
    const [, max] = /^Max open files +(\d+)/m.exec(readFileSync(path, 'utf8')) ?? [];
    return max === undefined ? undefined : Number(max);
  } catch {
    // It has ended, it is another user's, or there is no /proc.
    return undefined;
  }
}

/** What each open file of a process is; undefined when this user may not see that. */
export function openFilesOf(pid: number): readonly { readonly fd: string; readonly what: string }[] | undefined {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).map(fd => ({ fd, what: linkOf(`${folder}/${fd}`) }));
  } catch {
    return undefined; // as above
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ''; // it was closed meanwhile
  }
}

/** When the file that runs was made. One from a package has a date that says nothing, but an early one. */
function builtMs(): number | undefined {
  const [, main] = process.argv;
  return main === undefined ? undefined : statSync(main, { throwIfNoEntry: false })?.mtimeMs;
}

/** In the `flags` of an interface: IFF_UP and IFF_MULTICAST of linux/if.h. */
const UP = 0x1;
const MULTICAST = 0x1000;

function lookAtNetwork(): NetworkFacts {
  const addresses = Object.entries(networkInterfaces()).flatMap(([on, all = []]) =>
    all.filter(({ internal }) => !internal).map(({ address }) => ({ address, on })),
  );
  const folder = '/sys/class/net';
  if (process.platform !== 'linux' || !existsSync(folder)) return { addresses, multicast: undefined };
  const wanted = UP | MULTICAST;
  return {
    addresses,
    multicast: readdirSync(folder).filter(name => (flagsOf(`${folder}/${name}`) & wanted) === wanted),
  };
}

function flagsOf(folder: string): number {
  try {
    return Number(readFileSync(`${folder}/flags`, 'utf8'));
  } catch {
    return 0; // no interface, or one that has just gone
  }
}

/** A connection to this machine itself needs no more. */
const CONNECT_MS_MAX = 1_000;

async function isPortTaken(): Promise<boolean> {
  const answers = await Promise.all(['127.0.0.1', '::1'].map(host => isAnswered(host)));
  return answers.includes(true);
}

/** Connects and hangs up. To listen there for a moment would be surer, and in the way of a service that starts. */
function isAnswered(host: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host, port: LISTEN_PORT, timeout: CONNECT_MS_MAX });
    const end = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}
