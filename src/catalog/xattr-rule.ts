/**
 * Xattr rule: which extended attributes are part of a backup, and so which ones a restore may set or remove.
 *
 * Linux: the attributes that belong to the file's owner (`user.*`), POSIX ACLs, and file capabilities. Not
 * `security.selinux` and other labels, which the system's policy sets again; not `security.ima` and `security.evm`,
 * signatures of this very inode; not `trusted.*`, where overlay file systems and the like keep their own data; not
 * `system.*` of file servers (NFSv4 ACLs),
 * which mean something to that server alone. (xattr(7); rsync leaves out `system.*` but ACLs, and as a user all but `user.*`: https://download.samba.org/pub/rsync/rsync.1)
 *
 * macOS: all but what the system itself puts on files or lets nobody else set: restic and borg meet the former as
 * differences in their own tests (https://github.com/restic/restic/pull/21972, https://github.com/borgbackup/borg/pull/8763).
 *
 * FreeBSD: the user namespace; the calls here reach no other.
 */
const USER_PREFIX = 'user.';
const CAPABILITY = 'security.capability';
const LINUX_NAMES: ReadonlySet<string> = new Set(['system.posix_acl_access', 'system.posix_acl_default', CAPABILITY]);

const MACOS_VOLATILE: ReadonlySet<string> = new Set([
  // When a file was last opened, and by which application it was made.
  'com.apple.lastuseddate#PS',
  'com.apple.provenance',
  // Who may open it, and what belongs to the system: only the kernel sets these.
  'com.apple.macl',
  'com.apple.rootless',
  // A compressed file's content, which is in the blob.
  'com.apple.decmpfs',
]);
/** Attributes of the macOS kernel itself, and Linux namespaces that mean something only to that kernel. */
const MACOS_FOREIGN_PREFIXES = ['com.apple.system.', 'security.', 'system.', 'trusted.'];

export function isKeptXattr(name: Buffer, platform: NodeJS.Platform = process.platform): boolean {
  const text = name.toString('latin1');
  switch (platform) {
    case 'linux':
      return isUsers(text) || LINUX_NAMES.has(text);
    case 'darwin':
      return !MACOS_VOLATILE.has(text) && !MACOS_FOREIGN_PREFIXES.some(prefix => text.startsWith(prefix));
    case 'freebsd':
      return isUsers(text);
    default:
      return false;
  }
}

/** Gives a program root's rights, so nobody but root may set it. */
export const needsRoot = (name: Buffer): boolean => name.toString('latin1') === CAPABILITY;

const isUsers = (text: string): boolean => text.startsWith(USER_PREFIX) && text.length > USER_PREFIX.length;
