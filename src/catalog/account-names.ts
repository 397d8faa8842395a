/**
 * Account names: the user or group that a number stands for on this host, empty when unknown.
 *
 * Node has no call for it, so /etc/passwd and /etc/group are read, once a scan. Accounts that exist only in a directory
 * service have no name here; their numbers are recorded all the same.
 */
import { readFileSync } from 'node:fs';

/** In UTF-16 units; useradd allows 32. */
export const ACCOUNT_NAME_MAX = 256;

export interface AccountNames {
  user(uid: number): string;
  group(gid: number): string;
}

export function readAccountNames({
  passwd = '/etc/passwd',
  group = '/etc/group',
}: {
  readonly passwd?: string;
  readonly group?: string;
} = {}): AccountNames {
  const users = readNames(passwd);
  const groups = readNames(group);
  return { user: uid => users.get(uid) ?? '', group: gid => groups.get(gid) ?? '' };
}

/** In both files the name is first and the number third, between colons; the first line for a number counts. */
function readNames(path: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    // A host without the file (a container, say) records numbers and no names.
    return names;
  }
  for (const line of text.split('\n')) {
    const [name, , digits] = line.split(':');
    if (name === undefined || name === '' || digits === undefined || !/^\d{1,10}$/.test(digits)) continue;
    const id = Number(digits);
    if (!names.has(id) && name.length <= ACCOUNT_NAME_MAX) names.set(id, name);
  }
  return names;
}
