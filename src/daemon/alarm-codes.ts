/**
 * Alarm codes: what each alarm of `status` means, and what a person can do. The one table of them; deploy/ALARMS.md prints it.
 *
 * An alarm's own text names the source, store or host and what was found. This is what holds for all of one code.
 */
export interface AlarmMeaning {
  readonly means: string;
  /** What to do, and by what it ends where that is not plain. */
  readonly remedy: string;
}

export const ALARM_CODES = {
  AUDIT_FAILED: {
    means:
      'a store of another host could not show the bytes of copies that its log has: they do not count, and are made again',
    remedy: 'look at that disk. It ends when the copies have passed an audit, or are told of anew',
  },
  BACKUP_FAILED: {
    means: 'a snapshot was not taken, for the reason in the text',
    remedy: 'remove that reason. It is tried again by itself, and the next snapshot that is taken ends it',
  },
  BOOT_BEHIND: {
    means:
      'others have heard later starts of this host than this one: its state folder was put back from an old image, or a copy of it runs',
    remedy: 'switch off the copy. Where there is none, nothing: the service starts again by itself, and is heard then',
  },
  BRAKES_DAMAGED: {
    means: '`brakes.json` in the state folder cannot be read: no source has a snapshot unlisted',
    remedy: 'look at each source, then `cluster backup SOURCE --accept-changes`; then remove the file',
  },
  COPIES_DAMAGED: {
    means:
      'in a store of this host copies were found with wrong or missing bytes: they count no more, and are fetched again',
    remedy: 'look at the disk, and replace one that does this again. It stands until the service is started anew',
  },
  DUPLICATE_IDENTITY: {
    means: 'two machines run with one key: the copies of that host count for nothing',
    remedy:
      'switch off the copy, or revoke that host and let it join anew; [`cluster replace`](OPERATIONS.md#a-machine-is-reinstalled) lets a new machine keep its place',
  },
  HEAD_DAMAGED: {
    means: "a source's file in `catalog/own-heads` cannot be read: that source alone has no new snapshots",
    remedy: 'do what the text says',
  },
  HEAD_FORKED: {
    means:
      'a source has, or had, two lists of snapshots with one number: two machines have used one key, or an old image was put back',
    remedy:
      "keep only one of the machines. What both lists name is kept. On other hosts it ends with the origin's next list, on the origin when the service is started anew",
  },
  HEAD_FULL: {
    means: '4,096 snapshots of a source are listed, and its rules may unlist none of them: no further one is taken',
    remedy: '`cluster forget SOURCE`, or a smaller `keep`. If a mass change stopped the rules, look at that first',
  },
  HEAD_VOIDED: {
    means:
      'this host knows snapshots of a source that are listed no more: `cluster replace` or `cluster revoke` shut out the key that signed them on a host which had not heard of them',
    remedy:
      'what you want of them restore by their ids, on this host, before their `hold` ends: the log has them. It ends with that, or when the service is started anew',
  },
  HELD_LOST: {
    means:
      'of snapshots that are unlisted and still held a part of the catalog is lost, here and on every host that is up',
    remedy: 'switch on the hosts that are off: it is looked for every minute',
  },
  HOLDS_DAMAGED: {
    means:
      'this host no longer knows which unlisted snapshots of a source are in their hold: they are kept for `gcGrace` alone',
    remedy: 'look at the disk of the state folder. It stands until the service is started anew',
  },
  HOLDS_FULL: {
    means: '16,384 snapshots of a source are listed or in their hold: no further one is taken, or taken in',
    remedy:
      'take them less often, or with a shorter `hold`. The origin goes on when a hold has run out; `cluster forget SOURCE --now --yes` ends those of what is unlisted',
  },
  HOOK_FAILED: {
    means: 'a hook of a source failed, or took too long',
    remedy: 'what it printed is in the log. It ends when the hook succeeds',
  },
  INDEX_DAMAGED: {
    means:
      'the index seemed damaged, was moved to `index.damaged/`, and is made anew. No copy and no snapshot was in it',
    remedy: 'look at the disk of the state folder, and remove `index.damaged/`. It ends with the next start after that',
  },
  INDEX_REFUSED: {
    means:
      'the disk of the state folder refuses writes of the index: this host takes few copies, or none, and goes on serving what it has',
    remedy: 'make room on that disk, or look at why it fails. It ends within two minutes of the last refusal',
  },
  MASS_CHANGE: {
    means: "more than `brake` of a source's files left or changed: none of its snapshots is unlisted",
    remedy:
      'look at what changed (`cluster diff`). If it was meant: `cluster backup SOURCE --accept-changes`; if not, restore',
  },
  MEMBERSHIP: {
    means:
      'an admission was refused, a configuration was signed twice, cannot be read or written, or is dated ahead of this clock; or another machine goes on as this host. Whom one shuts out that cannot be written is shut out all the same',
    remedy: 'do what the text says',
  },
  MOUNTS_NOT_ENTERED: {
    means: 'below a source lie other file systems, which are not backed up',
    remedy: '`crossMounts: true`, a source of their own, or `exclude`',
  },
  NEVER_DUE: {
    means: 'none of the times that a source has in `at` ever comes',
    remedy: 'write them in another way, or `every` in their place',
  },
  NOT_WATCHED: {
    means: 'changes in a source that has `watch` are not noticed; `every` or `at` goes on',
    remedy: 'where the text names a limit, raise it. Each run tries to watch again',
  },
  OUTAGE: {
    means:
      'more than a third of the hosts, at least three, vanished at about the same time: what they hold is made again only after twice the usual wait',
    remedy: "look at their power and network, and at this host's own",
  },
  PEER_BANNED: {
    means: 'a host broke the protocol again and again, and is shut out for 10 minutes',
    remedy: 'bring it to this release; if it has it, look at that machine. It ends with those 10 minutes',
  },
  RETENTION_FAILED: {
    means: 'no snapshot of a source was unlisted, for the reason in the text: all stay listed',
    remedy: 'remove that reason. It is tried again after the next snapshot',
  },
  SELF_TEST_FAILED: {
    means: 'files that were restored as a test did not come, though hosts that are up say that they hold them',
    remedy: 'look at the disks of the hosts that are named, and run `cluster scrub` there',
  },
  SNAPSHOTS_MANY: {
    means: 'so many snapshots of a source are listed or held that none is taken for a change (`watch`)',
    remedy: 'let copies be made, so that old snapshots can be unlisted; take a shorter `hold`, or no `watch`',
  },
  SNAPSHOT_FROM_FUTURE: {
    means: "a source's newest snapshot is dated ahead of this host's clock: none is unlisted before that time",
    remedy: 'if the clock is wrong, set it. If it is right, `cluster forget SOURCE --future --yes`',
  },
  SNAPSHOT_PARTIAL: {
    means:
      "a source's newest snapshot lacks files and folders that could not be read (missed), or has them as they were before (stale)",
    remedy:
      "let the service's user read them, or `exclude` them. For what changes too fast, a hook that makes it rest. It ends with a run that reads everything",
  },
  SOURCE_MISSING: {
    means:
      'the folder of a source is not there or cannot be read, is on another disk, is empty when it was not, or its disk hangs: no snapshot is taken',
    remedy:
      'mount it, or correct the policy. If it is meant to be another disk, or empty: `cluster backup SOURCE --accept-changes --yes`',
  },
  STATE_DISK_FULL: {
    means:
      'the disk of the state folder is nearly full: soon this host can take no snapshot, and no copies of new ones. While it is wholly full, a service that is restarted does not come up',
    remedy: 'make room on that disk, before the service is restarted. It ends by itself within a minute',
  },
  STORE_DOUBT: {
    means:
      'a store was put back from an old image, or a copy of this host runs: its copies count again when all have been read',
    remedy: 'switch off the copy. Where there is none, wait',
  },
  STORE_MISSING: {
    means: 'a store of this host is not mounted, or hangs; if it is not mounted its copies are made again elsewhere',
    remedy:
      'bring the disk back, or take the store out of the policy; for a new disk in its place do that, and add it again. It is looked for again by itself',
  },
  STORE_UNMEASURED: {
    means: 'a store of this host is mounted, but its disk does not say how much room it has',
    remedy: 'look at the disk. It is measured again by itself',
  },
  TOO_FEW_HOSTS: {
    means: 'fewer other hosts (or domains) lend room than a source wants copies',
    remedy: 'add a store on another host, or take fewer `copies`',
  },
  TOO_LITTLE_ROOM: {
    means: 'copies of a source are missing, and no host that could take them has room for them: waiting does not help',
    remedy:
      'let a store lend more, add a store on another host, or take fewer `copies`. It ends half a minute (`relocate`) after the copies have a place',
  },
} as const satisfies Readonly<Record<string, AlarmMeaning>>;

export type AlarmCode = keyof typeof ALARM_CODES;
