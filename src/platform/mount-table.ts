/**
 * Mount table: the folders on which something is mounted, as Linux lists them in this process's own view of the files.
 *
 * A bind mount can show another folder of the very same file system, and then no device number tells where it begins.
 * But one that shows the folder that is there anyway is not among these: services are given such mounts of folders that
 * they may write in or must not (systemd's `ReadWritePaths`, `ProtectHome`), and nothing is missing when they go.
 *
 * Touches no disk. Used by scan-worker.ts and by the doctor.
 */
import { readFileSync } from 'node:fs';

export const MOUNT_TABLE = '/proc/self/mountinfo';

interface Mount {
  readonly id: string;
  /** The mount that it lies in. */
  readonly parent: string;
  readonly device: string;
  /** The folder of its file system that it shows. */
  readonly root: string;
  /** Where it shows it. */
  readonly point: string;
}

/** Absolute paths, as Latin-1. Undefined where the system does not tell. */
export function mountPoints(table = MOUNT_TABLE): ReadonlySet<string> | undefined {
  let text: string;
  try {
    text = readFileSync(table, 'latin1');
  } catch {
    // Not Linux, or there is no /proc.
    return undefined;
  }
  const mounts = text.split('\n').flatMap(mountOf);
  const byId = new Map(mounts.map(mount => [mount.id, mount]));
  const others = mounts.filter(mount => !showsWhatIsThere(mount, byId.get(mount.parent)));
  return new Set(others.map(({ point }) => point));
}

/** The order of a line's fields is that of proc_pid_mountinfo(5). */
function mountOf(line: string): Mount[] {
  const [id, parent, device, root, point] = line.split(' ');
  if (id === undefined || parent === undefined || device === undefined) return [];
  if (root === undefined || point === undefined) return [];
  return [{ id, parent, device, root: unescaped(root), point: unescaped(point) }];
}

function showsWhatIsThere({ device, root, point }: Mount, parent: Mount | undefined): boolean {
  if (parent === undefined || parent.device !== device) return false;
  const within = withoutEnd(parent.point);
  if (point !== parent.point && !point.startsWith(`${within}/`)) return false;
  return withoutEnd(root) === withoutEnd(parent.root) + withoutEnd(point).slice(within.length);
}

/** `/` alone ends with a slash. */
const withoutEnd = (path: string): string => (path === '/' ? '' : path);

/** Space, tab, line break and backslash stand there as three octal digits behind a backslash. */
const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
